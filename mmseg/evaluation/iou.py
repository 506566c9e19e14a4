"""Scores of a data set from one exact confusion matrix, and predictions as files."""

import json
import pickle
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric, DumpResults
from mmengine.logging import MMLogger

from mmseg.errors import UserError
from mmseg.evaluation.confusion import METRIC_SCORES, confusion_matrix, percent, scores
from mmseg.evaluation.per_image import ImageCounts
from mmseg.evaluation.report import score_names, score_table
from mmseg.files import whole_file, write_whole
from mmseg.imagery.listing import OutputNames
from mmseg.imagery.pictures import write_id_png
from mmseg.registry import METRICS


@METRICS.register_module()
class IoUMetric(BaseMetric):
    """Compare predictions with the ground truth, write them as id images, or both.

    Each image gives one result. A distributed sampler repeats images to fill the last batch;
    mmengine drops these results, and every image counts once.

    Args:
        iou_metrics: Any of mIoU, mDice and mFscore.
        ignore_index: Label id of the pixels that do not count.
        output_dir: Folder for the predictions, one palettised 8-bit PNG per image. The ids are
            those of the data set's own masks: with `reduce_zero_label` they are one higher.
        format_only: Only write the predictions. No ground truth is needed.
        json_file: File for the scores (percent, null where undefined) and the confusion matrix. The
            counts of each image go to a file beside it that ends in `.images.npz`.
        run: Facts about the run that go into `json_file` as they are.
        collect_device: `cpu` or `gpu`: where processes exchange results.
        beta: Weight of recall against precision in mFscore.
        nan_to_num: Score, from 0 to 1, of a class that has none; by default it does not count.
        prefix: Comes before the name of each returned score, as in `prefix/mIoU`.

    Raises `UserError` for an unknown metric, and for `format_only` without `output_dir`.
    """

    def __init__(
        self,
        iou_metrics: Sequence[str] = ("mIoU",),
        ignore_index: int = 255,
        output_dir: str | None = None,
        format_only: bool = False,
        json_file: str | None = None,
        run: dict | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
        beta: float = 1,
        nan_to_num: float | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if unknown := [name for name in iou_metrics if name not in METRIC_SCORES]:
            raise UserError(f"unknown iou_metrics {unknown}: choose from {list(METRIC_SCORES)}")
        if format_only and output_dir is None:
            raise UserError("format_only=True writes predictions: set output_dir to a folder")
        self.metrics = list(iou_metrics)
        self.ignore_index = ignore_index
        self.output_names = None if output_dir is None else OutputNames(output_dir)
        self.format_only = format_only
        self.json_file = json_file
        self.run = run or {}
        self.started = time.monotonic()
        self.class_scores: dict[str, float] = {}  # of the last evaluation, for trackers
        self.options: dict[str, Any] = {"beta": beta, "nan_to_num": nan_to_num}

    def summary_names(self) -> list[str]:
        """Return the names of the scores over all classes, without `prefix`."""
        return ["aAcc", *(f"m{name}" for name in score_names(self.metrics))]

    def check_names(self, img_paths: Iterable[str]) -> None:
        """Raise `UserError` if two images would be written to one file."""
        if self.output_names is not None:
            for path in img_paths:
                self.output_names(path)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count, and write if asked to, each sample (a `SegDataSample.to_dict()`)."""
        for sample in data_samples:
            path = sample["img_path"]
            if self.output_names is not None:
                self._write(sample, self.output_names(path))
            matrix = np.zeros(0, np.int64) if self.format_only else self._compare(sample)
            cells = np.flatnonzero(matrix)
            place = str(sample.get("seg_map_path", "")), str(sample.get("group", path))
            self.results.append((path, *place, cells, matrix.flat[cells]))

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Sum the counts of all images; log, save and return the scores."""
        logger = MMLogger.get_current_instance()
        if self.output_names is not None:
            self.check_names(name for name, *_ in results)  # also those of other processes
            logger.info(f"{len(results)} predictions written to {self.output_names.folder}")
        if self.format_only:
            return {}
        meta = self.dataset_meta or {}  # the evaluator sets it before the loop
        images = ImageCounts.of(meta["classes"], results)
        result = scores(images.matrix(), **self.options)
        names = (f"IoU/{name}" for name in meta["classes"])
        self.class_scores = dict(zip(names, result["IoU"].tolist(), strict=True))
        logger.info(f"{len(results)} images\n{score_table(result, meta['classes'], self.metrics)}")
        values = result["Fscore"]
        if "mFscore" in self.metrics and (missed := int((values == 0).sum())):
            mean = percent(np.nansum(values) / 100, (values > 0).sum())
            logger.info(
                f"mFscore counts the {missed} classes without a right pixel as 0; MMSegmentation "
                f"leaves them out, which gives {mean:.2f}"
            )
        if self.json_file is not None:
            facts = {
                "metrics": self.metrics,
                "images": len(results),
                "classes": list(meta["classes"]),
                "palette": np.array(meta["palette"]).tolist(),
                "reduce_zero_label": bool(meta.get("reduce_zero_label", False)),
                **{key: meta[key] for key in ("bands", "bits") if key in meta},
                "run": {**self.run, "seconds": round(time.monotonic() - self.started, 1)},
                "summary": {k: _or_null(v) for k, v in result.items() if not v.ndim},
                "per_class": {k: _or_null(v) for k, v in result.items() if v.ndim},
                "confusion_matrix": images.matrix().tolist(),  # rows: truth, columns: prediction
            }
            write_whole(self.json_file, json.dumps(facts, allow_nan=False).encode())
            images.save(Path(self.json_file).with_suffix(".images.npz"))
        return {name: float(result[name]) for name in self.summary_names()}

    def _write(self, sample: dict, path: Path) -> None:
        ids = sample["pred_sem_seg"]["data"][0].cpu().numpy()
        palette = list((self.dataset_meta or {}).get("palette") or ())
        if sample.get("reduce_zero_label"):
            ids, palette = ids + 1, palette and [(0, 0, 0), *palette]
        write_id_png(path, ids.astype(np.uint8), palette)

    def _compare(self, sample: dict) -> np.ndarray:
        """Return the confusion matrix of one image, int64 (K, K)."""
        if "gt_sem_seg" not in sample:
            raise UserError(f"{sample['img_path']}: no ground truth to compare with")
        pred, label = sample["pred_sem_seg"]["data"][0], sample["gt_sem_seg"]["data"][0]
        size = len((self.dataset_meta or {})["classes"])
        try:
            return confusion_matrix(pred, label, size, self.ignore_index).cpu().numpy()
        except UserError as error:
            raise UserError(f"{sample.get('seg_map_path', sample['img_path'])}: {error}") from None


def _or_null(scores: np.ndarray) -> Any:
    return np.where(np.isnan(scores), np.array(None), scores).tolist()


@METRICS.register_module()
class PickledPredictions(DumpResults):
    """Write a list of (H, W) uint8 class ids: one array per image, in the order of the data set."""

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the prediction of each sample (a `SegDataSample.to_dict()`)."""
        for sample in data_samples:
            self.results.append(sample["pred_sem_seg"]["data"][0].cpu().numpy())

    def compute_metrics(self, results: list) -> dict:
        """Write the file, whole or not at all. No score is returned."""
        with whole_file(self.out_file_path) as part, part.open("wb") as file:
            pickle.dump(results, file)
        return {}
