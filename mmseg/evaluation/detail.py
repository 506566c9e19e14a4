"""Boundaries, sizes of objects, calibration, and the temperature that calibrates."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from torch.nn.functional import cross_entropy

from mmseg.errors import UserError
from mmseg.files import whole_file
from mmseg.registry import METRICS

BOUNDARY = 0.02  # the width of boundary IoU, as a share of the image's diagonal
TOLERANCE = 0.0075  # the distance at which boundaries agree for the boundary F1, likewise
SIZES = (32**2, 96**2)  # pixels of the largest small and the largest medium object (COCO)
BINS = 15  # of confidence
# Calibration looks at every fifth pixel in both directions. With steps of 4 or 8, all pixels would
# lie at the same place of the network's cells of 8 pixels, where it is less sure than elsewhere.
STEP = 5
IGNORED = 255
CROSS = np.ones((3, 3), np.uint8)


@METRICS.register_module()
class DetailMetric(BaseMetric):
    """Measure each image, and write the sums over all images, of K classes, to `file` (.npz).

    - `boundary` (K, 2): intersection and union of the boundaries (boundary IoU, Cheng et al.,
      arXiv 2103.16562): the pixels of a class at most 2 % of the diagonal away from its edge.
    - `contour` (K, 2): sum of the boundary F1 (Csurka et al., BMVC 2013) of the images with a pixel
      of the class, and their number. Edges agree within 0.75 % of the diagonal.
    - `sizes` (3, K, 2): intersection and union by size of object. A right pixel counts for its
      true object. A wrong one counts in the unions of its true and its predicted object.
    - `calibration` (K + 1, 15, 3): pixels, sum of probability, and pixels of the class, in bins of
      the probability of each class. The last row holds the largest probability and the right
      pixels. It is 0 if the samples have no `seg_logits`.

    Several processes may count an image twice that fills the last batch.
    """

    def __init__(self, file: str, collect_device: str = "cpu") -> None:
        super().__init__(collect_device=collect_device)
        self.file = file

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        size = len((self.dataset_meta or {})["classes"])
        for sample in data_samples:
            label = sample["gt_sem_seg"]["data"][0].cpu().numpy().astype(np.uint8)
            pred = sample["pred_sem_seg"]["data"][0].cpu().numpy().astype(np.uint8)
            pred = np.where(label == IGNORED, IGNORED, pred)
            found = dict(zip(("boundary", "contour"), boundaries(pred, label, size), strict=True))
            found["sizes"] = by_size(pred, label, size)
            found["calibration"] = np.zeros((size + 1, BINS, 3))
            if "seg_logits" in sample:
                found["calibration"] = calibration(sample["seg_logits"]["data"], label)
            # The first result of a process carries its sums: nothing is held for each image.
            if self.results:
                for key, values in found.items():
                    self.results[0][key] += values
            self.results.append(None if self.results else found)

    def compute_metrics(self, results: list) -> dict:
        parts = [result for result in results if result is not None]
        with whole_file(self.file) as part, open(part, "wb") as file:
            np.savez_compressed(file, **{key: sum(each[key] for each in parts) for key in parts[0]})
        return {}


def boundaries(pred: np.ndarray, label: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return one image's `boundary` and `contour`, float64 (K, 2); see `DetailMetric`."""
    diagonal = float(np.hypot(*label.shape))
    width = max(1, round(BOUNDARY * diagonal))
    radius = max(1, round(TOLERANCE * diagonal))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    shared, contour = np.zeros((2, classes, 2))
    for k in np.intersect1d(np.union1d(pred, label), np.arange(classes)):
        bands = [_edge(ids == k, width) for ids in (label, pred)]
        shared[k] = (bands[0] & bands[1]).sum(), (bands[0] | bands[1]).sum()
        edges = [_edge(ids == k, 1) for ids in (label, pred)]
        near = [cv2.dilate(edge.astype(np.uint8), disk) for edge in edges]
        recall = near[1][edges[0]].sum() / max(edges[0].sum(), 1)
        precision = near[0][edges[1]].sum() / max(edges[1].sum(), 1)
        contour[k] = 2 * precision * recall / max(precision + recall, 1e-9), 1
    return shared, contour


def _edge(mask: np.ndarray, width: int) -> np.ndarray:
    """Return the pixels of a mask at most `width` away from a pixel outside it or the border."""
    inner = cv2.erode(mask.astype(np.uint8), CROSS, iterations=width, borderValue=0)
    return mask & ~inner.astype(bool)


def by_size(pred: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
    """Return one image's `sizes` (3, K, 2); see `DetailMetric`."""
    true_size, found_size = _size_of_each_pixel(label), _size_of_each_pixel(pred)
    counted = label < classes
    right, wrong = counted & (pred == label), counted & (pred != label)
    result = np.zeros((3, classes, 2), np.int64)
    np.add.at(result[..., 0], (true_size[right], label[right]), 1)
    np.add.at(result[..., 1], (true_size[counted], label[counted]), 1)
    np.add.at(result[..., 1], (found_size[wrong], pred[wrong]), 1)
    return result


def _size_of_each_pixel(ids: np.ndarray) -> np.ndarray:
    """Return 0, 1 or 2 for each pixel of a small, medium or large object."""
    sizes = np.zeros(ids.shape, np.int64)
    for k in np.unique(ids):
        _, labels, stats, _ = cv2.connectedComponentsWithStats((ids == k).astype(np.uint8))
        area = stats[:, cv2.CC_STAT_AREA]
        sizes += np.where(labels > 0, np.searchsorted(SIZES, area, side="left")[labels], 0)
    return sizes


def calibration(logits: Any, label: np.ndarray) -> np.ndarray:
    """Return one image's `calibration` from logits, a tensor (K, H, W); see `DetailMetric`."""
    prob = logits[:, ::STEP, ::STEP].float().softmax(0).flatten(1).cpu().numpy()
    labels = label[::STEP, ::STEP].ravel()
    prob, labels = prob[:, labels != IGNORED], labels[labels != IGNORED]
    size = len(prob) + 1
    hits = np.vstack([labels == np.arange(size - 1)[:, None], prob.argmax(0) == labels])
    prob = np.vstack([prob, prob.max(0)])
    bins = np.minimum((prob * BINS).astype(int), BINS - 1) + BINS * np.arange(size)[:, None]
    weights = (None, prob.ravel(), hits.ravel())
    sums = [np.bincount(bins.ravel(), each, size * BINS) for each in weights]
    return np.stack(sums, -1).reshape(size, BINS, 3)


def calibration_error(bins: np.ndarray) -> np.ndarray:
    """Return the expected calibration error, (...,), of bins (..., 15, 3) (arXiv 1706.04599)."""
    pixels, confidence, hits = np.moveaxis(bins, -1, 0)
    return np.abs(confidence - hits).sum(-1) / np.maximum(pixels.sum(-1), 1)


TEMPERATURES = np.geomspace(0.05, 20, 121)  # 5 % apart; 1 is one of them


@METRICS.register_module()
class TemperatureMetric(BaseMetric):
    """Find the T of `TEMPERATURES` by which logits are divided so that the labels are most likely.

    Samples need `seg_logits` (K, H, W), of which every fifth pixel in both directions is used. The
    result is `temperature`. Raises `UserError` if no pixel has a label.
    """

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            logits = sample["seg_logits"]["data"][None, :, ::STEP, ::STEP].double()
            label = sample["gt_sem_seg"]["data"][:, ::STEP, ::STEP].long().to(logits.device)
            losses = [
                cross_entropy(logits / t, label, ignore_index=IGNORED, reduction="sum").item()
                for t in TEMPERATURES
            ]
            place = str(sample.get("group", sample["img_path"]))
            self.results.append((np.array(losses), int((label != IGNORED).sum()), place))

    def compute_metrics(self, results: list) -> dict[str, float]:
        losses, pixels, places = zip(*results, strict=True)
        if not sum(pixels):
            raise UserError("no labelled pixel to fit a temperature to")
        logger, count = MMLogger.get_current_instance(), len(set(places))
        logger.info(f"the temperature is fitted to {sum(pixels)} pixels of {count} places")
        if count == 1:
            text = "all images are of one place: elsewhere another temperature may be right"
            logger.warning(text)
        return {"temperature": float(TEMPERATURES[np.argmin(sum(losses))])}
