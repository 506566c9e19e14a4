"""The summary and the checks at the start of a run, before hours of training."""

from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseg.checkpoints.loading import check_number_of_classes, unwrap, warn_of_other_classes
from mmseg.engine.checkpoint_hook import LatestCheckpointHook
from mmseg.engine.resume import LATEST
from mmseg.evaluation import IoUMetric
from mmseg.evaluation.report import render_table
from mmseg.files import write_whole
from mmseg.registry import HOOKS


@HOOKS.register_module()
class RunSummaryHook(Hook):
    """Before training, log the classes with their weights, the effective batch and the subset.

    `base_batch_size` is the total batch of the recipe, None if unknown; another is a warning, and
    so is a learning rate that falls to its end before or after the training's.
    """

    priority = "VERY_HIGH"

    def __init__(self, base_batch_size: int | None = 16) -> None:
        self.base_batch_size = base_batch_size

    def before_train(self, runner: Runner) -> None:
        dataset = runner.train_dataloader.dataset
        segmentor = unwrap(runner.model)
        check_number_of_classes(segmentor, dataset.metainfo["classes"])
        runner.logger.info(_class_table(segmentor, dataset.metainfo))
        self._log_batch(runner)
        self._check_schedule(runner)
        self._compare_with_validation(runner)
        if (subset := getattr(dataset, "subset_ids", None)) is not None:
            path = Path(runner.work_dir, "subset.txt")
            runner.logger.info(f"training on a subset of {len(subset)} images, listed in {path}")
            master_only(write_whole)(path, "".join(f"{name}\n" for name in subset).encode())

    def before_val(self, runner: Runner) -> None:
        classes = runner.val_dataloader.dataset.metainfo["classes"]
        check_number_of_classes(unwrap(runner.model), classes)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Give the score of each class to the trackers; the log has them in its table."""
        for metric in runner.val_evaluator.metrics:
            if isinstance(metric, IoUMetric):
                known = {k: v for k, v in metric.class_scores.items() if not np.isnan(v)}
                runner.visualizer.add_scalars(known, step=runner.iter)
        runner.message_hub.update_info("last_scores", dict(metrics or {}))

    def after_train(self, runner: Runner) -> None:
        result = run_result(runner)
        path = result["best_checkpoint"] or result["checkpoint"]
        if path is None:
            return
        best = ", ".join(f"best {name} {score:.2f}; " for name, score in result["best"].items())
        config = Path(runner.cfg.filename or Path(runner.work_dir, f"{runner.timestamp}.py"))
        runner.logger.info(f"{best}test it with: python tools/test.py {config} {path}")

    def before_test(self, runner: Runner) -> None:
        dataset = runner.test_dataloader.dataset
        check_number_of_classes(unwrap(runner.model), dataset.metainfo["classes"])
        for metric in runner.test_evaluator.metrics:
            if isinstance(metric, IoUMetric):  # it asks for the paths if it writes predictions
                infos = map(dataset.get_data_info, range(len(dataset)))
                metric.check_names(info["img_path"] for info in infos)

    def _compare_with_validation(self, runner: Runner) -> None:
        if runner.val_loop is None:
            return
        where, key = "val_dataloader.dataset", "reduce_zero_label"
        trained = runner.train_dataloader.dataset.metainfo
        validated = runner.val_dataloader.dataset.metainfo
        warn_of_other_classes(validated["classes"], where, trained["classes"], "the training")
        if trained[key] != validated[key]:
            runner.logger.warning(
                f"{where}: {key}={validated[key]}, in training {trained[key]}: the same mask would "
                "mean other classes"
            )

    def _log_batch(self, runner: Runner) -> None:
        per_process = runner.train_dataloader.batch_size
        counts = (runner.cfg.get("optim_wrapper") or {}).get("accumulative_counts", 1)
        total = per_process * runner.world_size * counts
        factors = f"{per_process} images x {runner.world_size} processes x {counts}"
        text = f"effective batch {total} = {factors} accumulated steps"
        if self.base_batch_size in (total, None):
            runner.logger.info(text)
        else:
            runner.logger.warning(
                f"{text}; the recipe's is {self.base_batch_size}: expect other results, or change "
                "train_dataloader.batch_size"
            )

    def _check_schedule(self, runner: Runner) -> None:
        falling = [s for s in runner.param_schedulers or () if hasattr(s, "eta_min")]
        end = max((scheduler.end for scheduler in falling), default=runner.max_iters)
        if not runner.max_iters <= end <= runner.max_iters + 1:  # ours end one step after the last
            cure = f"set the `end` of param_scheduler to {runner.max_iters}"
            if runner._resume:  # and the schedule is that of the checkpoint
                cure = "for another schedule start from the checkpoint by --load-from"
            runner.logger.warning(
                f"the learning rate falls until iteration {end}, but the training ends at "
                f"{runner.max_iters}: {cure}"
            )


def _class_table(segmentor: Any, meta: dict) -> str:
    head = segmentor.decode_head
    weights = [getattr(loss, "class_weight", None) for loss in head.loss_decode]
    classes, palette = meta["classes"], meta["palette"]
    weight = next((each for each in weights if each is not None), [1] * len(classes))
    first = 1 if meta["reduce_zero_label"] else 0
    rows = [
        (i + first, i, name, f"#{bytes(colour).hex()}", f"{float(weight[i]):.4g}")
        for i, (name, colour) in enumerate(zip(classes, palette, strict=True))
    ]
    ignored = [*range(first), head.ignore_index]
    columns = ("mask value", "train id", "class", "colour", "weight")
    note = f"ignored mask values: {', '.join(map(str, ignored))}"
    return f"classes of the training data\n{render_table(columns, rows)}\n{note}"


def run_result(runner: Runner) -> dict[str, Any]:
    """Return scores and checkpoints of a training, as `SegRunner.train` does."""
    info, latest = runner.message_hub, Path(runner.work_dir, LATEST)
    name = next((h.score for h in runner.hooks if isinstance(h, LatestCheckpointHook)), None)
    best = info.get_info("best_score")
    return {
        "last": info.get_info("last_scores"),
        "best": {} if name is None or best is None else {name: best},
        "best_checkpoint": info.get_info("best_ckpt"),
        "checkpoint": str(latest) if latest.exists() else None,
    }
