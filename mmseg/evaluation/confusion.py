"""The confusion matrix, exact for rasters of any size, and the scores that follow from it."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from mmseg import ops
from mmseg.errors import UserError

# Which per-class scores each metric shows; the mean of score `X` is called `mX`.
METRIC_SCORES = {
    "mIoU": ("IoU", "Acc"),
    "mDice": ("Dice", "Acc"),
    "mFscore": ("Fscore", "Precision", "Recall"),
}

# Pixels counted at a time: an int64 copy takes 32 MiB, where one of a 9000x9500 raster takes 652.
CHUNK = 2**22


def confusion_matrix(
    pred: Tensor, label: Tensor, num_classes: int, ignore_index: int = 255
) -> Tensor:
    """Count pixels by label (row) and prediction (column), on the device of the prediction.

    `pred` and `label` are integer tensors of one shape, the result is int64 (K, K). Pixels labelled
    `ignore_index` are left out, whatever was predicted there. Raises UserError when the shapes
    differ or another id lies outside 0..K-1.
    """
    if pred.shape != label.shape:
        raise UserError(
            f"the prediction is {tuple(pred.shape)} pixels, the ground truth {tuple(label.shape)}"
        )
    bytes_only = pred.dtype == label.dtype == torch.uint8 and num_classes <= 256
    count = _count_bytes if bytes_only and ops.enabled() else _count
    # Integers throughout: float32 (torch.histc) stops counting at 2**24 pixels per cell.
    counts = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=pred.device)
    for pair in zip(pred.flatten().split(CHUNK), label.flatten().split(CHUNK), strict=True):
        counts += count(*pair, num_classes, ignore_index)
    return counts


def _count(pred: Tensor, label: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    label_ids = label.to(pred.device, torch.int64)
    counted = label_ids != ignore_index
    label_ids, pred_ids = label_ids[counted], pred.long()[counted]
    _check_range(label_ids, num_classes, f"label (ignore_index is {ignore_index})")
    _check_range(pred_ids, num_classes, "prediction")
    cells = label_ids * num_classes + pred_ids
    return torch.bincount(cells, minlength=num_classes**2).view(num_classes, num_classes)


def _count_bytes(pred: Tensor, label: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """Count all pairs of bytes: there is nothing to check or to leave out per pixel."""
    pairs = (label.to(pred.device, torch.int32) << 8) + pred  # times 256 takes 20 times as long
    table = torch.bincount(pairs, minlength=256**2).view(256, 256)
    if 0 <= ignore_index < 256:
        table[ignore_index] = 0
    matrix = table[:num_classes, :num_classes]
    if table.sum() != matrix.sum():
        _count(pred, label, num_classes, ignore_index)  # says which ids are outside
    return matrix


def _check_range(ids: Tensor, num_classes: int, name: str) -> None:
    outside = ids[(ids < 0) | (ids >= num_classes)]
    if outside.numel():
        found = ", ".join(str(i) for i in outside.unique()[:10].tolist())
        raise UserError(f"ids {found} outside 0..{num_classes - 1} in the {name}")


@dataclass(frozen=True)
class Scores:
    """Scores in percent (0-100), NaN where a score is not defined.

    `per_class` maps IoU, Acc, Dice, Fscore, Precision and Recall to float64 arrays (K,); `summary`
    maps aAcc, mIoU, mAcc, mDice, mFscore, mPrecision and mRecall to numbers.
    """

    per_class: dict[str, np.ndarray]
    summary: dict[str, float]


def scores(matrix: np.ndarray) -> Scores:
    """Score an int64 confusion matrix (K, K) by the definitions of MMSegmentation.

    A class that occurs neither in the labels nor in the predictions has no score and no part in
    the means. One that was only predicted has IoU and Dice 0 and no Acc. The F-score is computed
    as Dice, which it equals; MMSegmentation's quotient of precision and recall is 0/0, and drops
    out of the mean, for a class of which no pixel was found, where this one is 0.
    """
    correct = np.diag(matrix)
    labelled, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    recall = _percent(correct, labelled)
    dice = _percent(2 * correct, labelled + predicted)
    per_class = {
        "IoU": _percent(correct, labelled + predicted - correct),
        "Acc": recall,
        "Dice": dice,
        "Fscore": dice,
        "Precision": _percent(correct, predicted),
        "Recall": recall,
    }
    summary = {"aAcc": _percent(correct.sum(), labelled.sum()).item()}
    summary |= {f"m{name}": _mean_of_defined(values) for name, values in per_class.items()}
    return Scores(per_class, summary)


def _percent(part: ArrayLike, whole: ArrayLike) -> np.ndarray:
    """100 * part / whole, NaN where the whole is empty."""
    return 100 * np.divide(
        part, whole, out=np.full(np.shape(whole), np.nan), where=np.greater(whole, 0)
    )


def _mean_of_defined(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return defined.mean().item() if defined.size else float("nan")
