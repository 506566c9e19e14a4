"""The confusion matrix, exact for rasters of any size, and the scores that follow from it."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from mmseg.errors import UserError

# The per-class scores that each metric shows. The mean of score `X` is called `mX`.
METRIC_SCORES = {
    "mIoU": ("IoU", "Acc"),
    "mDice": ("Dice", "Acc"),
    "mFscore": ("Fscore", "Precision", "Recall"),
}
CHUNK = 2**22  # pixels counted at a time: an int32 copy of a 9000x9500 raster takes 326 MiB
# Float64 in percent, NaN where a score is not defined. IoU, Acc, Dice, Fscore, Precision and Recall
# have the shape (..., K), their means (mIoU and so on) and aAcc (...).
Scores = dict[str, np.ndarray]


def confusion_matrix(
    pred: Tensor, label: Tensor, num_classes: int, ignore_index: int = 255
) -> Tensor:
    """Count pixels by label (row) and prediction (column), on the device of the prediction.

    `pred` and `label` are integer tensors of one shape. The result is int64 (K, K). Pixels labelled
    `ignore_index` do not count, whatever their prediction is. Raises `UserError` if the shapes
    differ or another id lies outside 0..K-1.
    """
    if pred.shape != label.shape:
        raise UserError(
            f"the prediction is {tuple(pred.shape)} pixels, the ground truth {tuple(label.shape)}"
        )
    # Integers throughout: float32 (torch.histc) stops counting at 2**24 pixels per cell.
    table = torch.zeros((num_classes + 1) * num_classes, dtype=torch.int64, device=pred.device)
    for ids, labels in zip(pred.flatten().split(CHUNK), label.flatten().split(CHUNK), strict=True):
        labels = labels.to(pred.device, torch.int32)
        ignored = labels == ignore_index
        ids = ids.to(torch.int32).masked_fill(ignored, 0)
        _check_range(ids, num_classes, "prediction")
        _check_range(
            labels.masked_fill(ignored, 0), num_classes, f"label (ignore_index is {ignore_index})"
        )
        labels = labels.masked_fill(ignored, num_classes)  # a copy: they may be the caller's
        table += torch.bincount(labels.mul_(num_classes).add_(ids), minlength=len(table))
    return table.view(num_classes + 1, num_classes)[:num_classes]


def _check_range(ids: Tensor, num_classes: int, name: str) -> None:
    if ids.numel() and (ids.min() < 0 or ids.max() >= num_classes):
        outside = ids[(ids < 0) | (ids >= num_classes)].unique()[:10].tolist()
        raise UserError(
            f"ids {', '.join(map(str, outside))} outside 0..{num_classes - 1} in the {name}"
        )


def scores(matrix: np.ndarray, beta: float = 1, nan_to_num: float | None = None) -> Scores:
    """Score an int64 confusion matrix (K, K) by the definitions of MMSegmentation.

    A class that occurs neither in the labels nor in the predictions has no score and does not
    count in the means. A class that was only predicted has IoU and Dice 0 and no Acc.

    `beta` weighs recall against precision in the F-score. If no pixel of a class was found, its
    F-score is 0 here. In MMSegmentation it is 0/0 and does not count in the mean. `nan_to_num` is
    the score, from 0 to 1, of classes that have none.
    """
    pixels = np.stack([np.diag(matrix), matrix.sum(1), matrix.sum(0)])
    return scores_of_pixels(pixels, beta, nan_to_num)


def scores_of_pixels(
    pixels: np.ndarray, beta: float = 1, nan_to_num: float | None = None
) -> Scores:
    """Score pixels (3, ..., K) that are rightly predicted, labelled, and predicted as each class.

    The other arguments are those of `scores`.
    """
    correct, labelled, predicted = pixels
    found = {
        "IoU": percent(correct, labelled + predicted - correct),
        "Acc": percent(correct, labelled),
        "Dice": percent(2 * correct, labelled + predicted),
        "Fscore": percent((1 + beta**2) * correct, beta**2 * labelled + predicted),
        "Precision": percent(correct, predicted),
        "Recall": percent(correct, labelled),
    }
    if nan_to_num is not None:
        found = {name: np.nan_to_num(each, nan=100 * nan_to_num) for name, each in found.items()}
    means = {"aAcc": percent(correct.sum(-1), labelled.sum(-1))}
    for name, values in found.items():  # the mean of those that are defined
        means[f"m{name}"] = percent(np.nansum(values, -1) / 100, (~np.isnan(values)).sum(-1))
    return found | means


def percent(part: ArrayLike, whole: ArrayLike) -> np.ndarray:
    """Return 100 * part / whole, NaN where the whole is empty."""
    empty = np.full(np.shape(whole), np.nan)
    return 100 * np.divide(part, whole, out=empty, where=np.greater(whole, 0))
