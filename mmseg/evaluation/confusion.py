"""The confusion matrix, exact for rasters of any size, and the scores that follow from it."""

from dataclasses import dataclass

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

# Pixels counted at a time. An int64 copy takes 32 MiB; one of a 9000x9500 raster takes 652.
CHUNK = 2**22


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
    # All pairs of bytes are counted: with uint8, nothing needs to be checked for each pixel.
    bits = max(8, (num_classes - 1).bit_length())
    # Integers throughout: float32 (torch.histc) stops counting at 2**24 pixels per cell.
    table = torch.zeros(4**bits, dtype=torch.int64, device=pred.device)
    for ids, labels in zip(pred.flatten().split(CHUNK), label.flatten().split(CHUNK), strict=True):
        labels = labels.to(pred.device)
        if not ids.dtype == labels.dtype == torch.uint8:
            is_counted = labels.long() != ignore_index
            ids, labels = ids[is_counted].long(), labels[is_counted].long()
            _check_range(ids, labels, num_classes, ignore_index)
        # Multiplying by 256 would take 20 times as long as shifting.
        table += torch.bincount((labels.int() << bits) + ids, minlength=4**bits)
    table = table.view(2**bits, 2**bits)
    if 0 <= ignore_index < len(table):
        table[ignore_index] = 0
    _check_range(table.sum(0).nonzero(), table.sum(1).nonzero(), num_classes, ignore_index)
    return table[:num_classes, :num_classes]


def _check_range(pred: Tensor, label: Tensor, num_classes: int, ignore_index: int) -> None:
    for ids, name in ((label, f"label (ignore_index is {ignore_index})"), (pred, "prediction")):
        outside = ids[(ids < 0) | (ids >= num_classes)]
        if outside.numel():
            found = ", ".join(str(i) for i in outside.unique()[:10].tolist())
            raise UserError(f"ids {found} outside 0..{num_classes - 1} in the {name}")


@dataclass(frozen=True)
class Scores:
    """Scores in percent (0-100), NaN where a score is not defined.

    `per_class` maps IoU, Acc, Dice, Fscore, Precision and Recall to float64 arrays (K,). `summary`
    maps aAcc, mIoU, mAcc, mDice, mFscore, mPrecision and mRecall to numbers.
    """

    per_class: dict[str, np.ndarray]
    summary: dict[str, float]


def scores(matrix: np.ndarray, beta: float = 1, nan_to_num: float | None = None) -> Scores:
    """Score an int64 confusion matrix (K, K) by the definitions of MMSegmentation.

    A class that occurs neither in the labels nor in the predictions has no score and does not
    count in the means. A class that was only predicted has IoU and Dice 0 and no Acc.

    `beta` weighs recall against precision in the F-score. If no pixel of a class was found, its
    F-score is 0 here. In MMSegmentation it is 0/0 and does not count in the mean. `nan_to_num` is
    the score, from 0 to 1, of classes that have none.
    """
    counts = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    per_class, summary = class_scores(*counts, beta, nan_to_num)
    return Scores(per_class, {name: value.item() for name, value in summary.items()})


def class_scores(
    correct: np.ndarray,
    labelled: np.ndarray,
    predicted: np.ndarray,
    beta: float = 1,
    nan_to_num: float | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return `per_class` (..., K) and `summary` (...) of `Scores`, from pixels (..., K) of classes.

    The pixels are those that are rightly predicted, labelled, and predicted as each class. The
    other arguments are those of `scores`.
    """
    recall = _percent(correct, labelled)
    per_class = {
        "IoU": _percent(correct, labelled + predicted - correct),
        "Acc": recall,
        "Dice": _percent(2 * correct, labelled + predicted),
        "Fscore": _percent((1 + beta**2) * correct, beta**2 * labelled + predicted),
        "Precision": _percent(correct, predicted),
        "Recall": recall,
    }
    if nan_to_num is not None:
        per_class = {k: np.nan_to_num(each, nan=100 * nan_to_num) for k, each in per_class.items()}
    summary = {"aAcc": _percent(correct.sum(-1), labelled.sum(-1))}
    summary |= {f"m{name}": _mean_of_defined(values) for name, values in per_class.items()}
    return per_class, summary


def _percent(part: ArrayLike, whole: ArrayLike) -> np.ndarray:
    """100 * part / whole, NaN where the whole is empty."""
    return 100 * np.divide(
        part, whole, out=np.full(np.shape(whole), np.nan), where=np.greater(whole, 0)
    )


def _mean_of_defined(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of the values that are not NaN; NaN if there is none."""
    defined = ~np.isnan(values)
    total = np.where(defined, values, 0).sum(-1)
    return _percent(total / 100, defined.sum(-1))
