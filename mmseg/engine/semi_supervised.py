"""Semi-supervised training: a mean teacher labels the images that have no masks.

A mean teacher (arXiv 1703.01780) with the weak and strong views of FixMatch (arXiv 2001.07685), the
thresholds of FlexMatch (arXiv 2110.08263), and classes pasted from labelled images as in DACS
(arXiv 2007.08702).
"""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.hooks import EMAHook
from mmengine.runner import Runner
from torch import Tensor

from mmseg.checkpoints.loading import unwrap
from mmseg.config.parts import steps_of
from mmseg.engine.loaders import build_loader
from mmseg.engine.loop import seed_iteration
from mmseg.errors import UserError
from mmseg.imagery.mask import IGNORE_INDEX, UNKNOWN
from mmseg.models.data_preprocessor import pad_to
from mmseg.randomness import seed_of
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample


@HOOKS.register_module()
class SemiSupervisedHook(EMAHook):
    """Add images without masks to each training batch, with the labels of a teacher.

    The teacher is the average of the trained weights, as of mmengine's `EMAHook`, whose arguments
    follow as `options`. Validations and checkpoints use its weights. It sees each image as it is
    scaled, cropped and flipped. Where it is sure, its class becomes the label, and 255 elsewhere:
    its probability must reach `threshold`, times the mean probability of that class in the batch,
    divided by the largest of these means. Then half of the classes of a labelled image are pasted
    on each of these images, and the colours of all change
    (`PhotoMetricDistortion(on_device=True)` of the pipeline): so the trained network sees them. Its
    loss is the mean over all pixels of the images with and without masks; there are equally many of
    both.

    `dataset` holds the keys in which the data set without masks differs from that of
    `train_dataloader`, such as `dict(data_prefix=dict(img_path="more"), subset=None)`. By default
    it has the images that `subset` leaves out. Their masks are used for nothing but
    `pseudo_accuracy` in the log, the share of right labels among the given ones. `pseudo_share` is
    the share of pixels that get a label; while it is 0, the accuracy keeps its last value.
    """

    def __init__(
        self,
        dataset: Mapping | None = None,
        threshold: float = 0.9,
        ema_type: str = "MomentumAnnealingEMA",
        momentum: float = 0.004,
        **options: Any,
    ) -> None:
        if ema_type == "MomentumAnnealingEMA":
            options = {"gamma": 10, **options}  # averages a tenth of the iterations at first
        super().__init__(ema_type, momentum=momentum, **options)
        if not 0 <= threshold <= 1:
            raise UserError(f"SemiSupervisedHook: threshold={threshold} is no probability")
        self.dataset, self.threshold = dataset, threshold

    def before_train(self, runner: Runner) -> None:
        """Start the loader of the images without masks where the run is."""
        super().before_train(runner)
        if sum(isinstance(hook, EMAHook) for hook in runner.hooks) > 1:  # a checkpoint has one
            raise UserError("SemiSupervisedHook averages the weights itself: leave EMAHook out")
        labelled: Any = runner.train_dataloader
        config = unlabelled_config(runner.cfg.train_dataloader, self.dataset)
        loader: Any = build_loader(config, runner.seed, trains=True)
        loader.sampler.seed = seed_of(labelled.sampler.seed, "unlabelled")
        loader.sampler.skip(runner.iter * loader.batch_size)
        runner.logger.info(
            f"semi-supervised: {len(labelled.dataset)} images with masks, {len(loader.dataset)} "
            "without"
        )
        self.batches = iter(loader)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Add the next images without masks to the batch, in place."""
        batch: Any = data_batch
        if "labels" not in batch:
            raise UserError("SemiSupervisedHook: train_dataloader.collate_fn must be stack_batch")
        more = next(self.batches)
        seed_iteration(runner)  # without workers, loading draws in this process
        preprocessor = unwrap(runner.model).data_preprocessor
        more["inputs"] = more["inputs"].to(preprocessor.device)
        more["labels"] = self._labels(runner, preprocessor, more)
        batch |= {key: batch[key].to(preprocessor.device) for key in ("inputs", "labels")}
        paste_classes(batch, more)
        batch.update(interleaved(batch, more))

    @torch.no_grad()
    def _labels(self, runner: Runner, preprocessor: Any, batch: Mapping[str, Any]) -> Tensor:
        """Return the teacher's labels, (B, 1, H, W) uint8 with 255 where it is not sure."""
        teacher: Any = self.ema_model.module.eval()
        plain = {**batch, "data_samples": [SegDataSample() for _ in batch["data_samples"]]}
        plain = preprocessor(plain, training=True)
        height, width = batch["inputs"].shape[2:]
        size = plain["inputs"].shape[2:]
        with runner.optim_wrapper.optim_context(teacher):  # in the precision of the training
            small = teacher.logits(plain["inputs"])
        pairs = []
        for logits in small.split(1):  # few of full size are in memory
            pairs.append(teacher.decode_head.resize(logits, size).softmax(1).max(1, keepdim=True))
        best, found = (torch.cat(each)[..., :height, :width] for each in zip(*pairs, strict=True))
        sure = best >= self.threshold * relative_confidence(best, found, small.shape[1])[found]
        truth = batch["labels"].to(found.device)
        right = (found == truth)[sure & (truth < UNKNOWN)]
        for name, values in (("share", sure[truth != IGNORE_INDEX]), ("accuracy", right)):
            if values.numel():
                runner.message_hub.update_scalar(f"train/pseudo_{name}", values.float().mean())
        return found.masked_fill(~sure | (truth == IGNORE_INDEX), IGNORE_INDEX).byte()


def relative_confidence(best: Tensor, found: Tensor, classes: int) -> Tensor:
    """Return the mean probability of the pixels of each found class, (K,), the largest as 1.

    Without it rare classes would get few labels, and the network would forget them.
    """
    sums, counts = best.new_zeros(2, classes)
    sums.index_add_(0, found.flatten(), best.flatten())
    counts.index_add_(0, found.flatten(), torch.ones_like(best).flatten())
    means = sums / counts.clamp(min=1)
    return means / means.max()


def unlabelled_config(loader: Mapping, changes: Mapping | None) -> dict[str, Any]:
    """Return the config of the loader without masks; see `SemiSupervisedHook`."""
    config = copy.deepcopy(dict(loader))
    dataset = config["dataset"]
    if changes is None and (subset := dataset.get("subset")):
        changes = {"subset": {**subset, "rest": not subset.get("rest")}}
    if changes is None or "pipeline" not in dataset:
        raise UserError(
            "SemiSupervisedHook: train_dataloader.dataset needs a subset, or the hook a dataset "
            "with images that have no masks; wrappers of data sets do not go with it"
        )
    dataset = config["dataset"] = {**dataset, **changes}  # `update` would keep a folder of masks
    for step in steps_of(dataset["pipeline"], "LoadAnnotations"):
        step["type"] = "LoadUnlabelled"
    for step in dataset["pipeline"]:
        if "cat_max_ratio" in step:
            step["cat_max_ratio"] = 1.0  # else the masks would choose the crops
    return {**config, "sampler": {"type": "StatelessSampler", "shuffle": True}}


def paste_classes(labelled: Mapping[str, Any], target: Mapping[str, Any]) -> None:
    """Put pixels of half of the classes of each labelled image, with their labels, into a target.

    The classes are drawn from numpy's generator. Both are batches of `stack_batch`; the target
    changes in place.
    """
    count = len(labelled["labels"])
    height, width = np.minimum(labelled["labels"].shape[2:], target["labels"].shape[2:])
    keys = ("inputs", "labels")
    for i in range(len(target["labels"])):
        pixels, labels = (labelled[key][i % count, :, :height, :width] for key in keys)
        classes = labels.unique()
        classes = classes[classes != IGNORE_INDEX].tolist()
        chosen = np.random.permutation(classes)[: (len(classes) + 1) // 2]
        mask = torch.isin(labels, labels.new_tensor(chosen.tolist()))
        for key, source in zip(keys, (pixels, labels), strict=True):
            inside = target[key][i, :, :height, :width]
            inside.copy_(torch.where(mask, source, inside))


def interleaved(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return both batches of `stack_batch` as one, mixed evenly, for `accumulate` splits it."""
    place = [i / len(b["sizes"]) for b in (first, second) for i in range(len(b["sizes"]))]
    order = np.argsort(place, kind="stable").tolist()
    joined: dict[str, Any] = {}
    for key, padding in (("inputs", 0), ("labels", IGNORE_INDEX)):
        maps = [each[key].to(second["inputs"].device) for each in (first, second)]
        height, width = (max(x.shape[axis] for x in maps) for axis in (2, 3))
        joined[key] = torch.cat([pad_to(x, height, width, padding) for x in maps])[order]
    for key in ("sizes", "data_samples"):
        joined[key] = [[*first[key], *second[key]][i] for i in order]
    return joined
