"""The config of a data set that was made: one flat file, ready to train."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from mmengine.config import Config

from mmseg.config import load_config
from mmseg.config.check import TOP_LEVEL
from mmseg.datasets.class_weights import class_weights
from mmseg.imagery.bands import RGB, is_bgr

TITLE = '''"""{count} classes, bands {bands}. Made by tools/make_dataset.py; change it as you like.

Train with it: python tools/train.py CONFIG, where CONFIG is the path of this file.
"""

'''


def config_text(
    base: str, info: Mapping, mean: np.ndarray, std: np.ndarray, counts: np.ndarray, options: Any
) -> str:
    """Return the text of the config.

    `base` gives model, schedule and run, `info` is the metainfo. `mean` and `std` (C,) are of the
    training images, `counts` (tiles, K) the pixels of their classes.
    """
    config = load_config(base)
    bands, values = list(info["bands"]), {"mean": _rounded(mean), "std": _rounded(std)}
    size = (options.size, options.size)
    model = config.model
    model.data_preprocessor.update(size=size, bgr_to_rgb=is_bgr(bands, info["bits"]), **values)
    model.backbone.in_channels = len(bands)
    if model.backbone.get("init_cfg") and tuple(bands) != RGB:
        model.backbone.init_cfg.bands = bands
    model.decode_head.num_classes = len(info["classes"])
    weights = _rounded(class_weights(counts, "inverse_log"))
    losses = model.decode_head.loss_decode
    for loss in losses if isinstance(losses, list) else [losses]:
        loss.class_weight = weights
    load = {"type": "LoadImageFromFile", "fill": values["mean"]}
    train = [step for step in config.train_dataloader.dataset.pipeline if step.type != load["type"]]
    for step in train:
        if step.type == "RandomScaleCropFlip":
            step.update(scale=None, crop_size=size)
    if "gsd" in info:  # photos have an upper side, scenes have none
        train.insert(-1, {"type": "RandomTurn"})
    own_size = {"type": "Resize", "scale_factor": 1.0, "keep_ratio": True}
    test = [load, own_size, {"type": "LoadAnnotations"}, {"type": "PackSegInputs"}]
    dataset: dict[str, Any] = {
        "type": "BaseSegDataset",
        "data_root": "{{ fileDirname }}",
        "metainfo": dict(info),
        "data_prefix": {"img_path": "images", "seg_map_path": "masks"},
        "img_suffix": ".tif",
    }
    last = "test" if options.test > 0 else "val"
    for name, split in (("train", "train"), ("val", "val"), ("test", last)):
        own = {**dataset, "ann_file": f"splits/{split}.txt"}
        own["pipeline"] = [load, *train] if name == "train" else test
        own["test_mode"] = name != "train"
        config[f"{name}_dataloader"].dataset = own
    title = TITLE.format(count=len(info["classes"]), bands=", ".join(bands))
    return title + Config({k: v for k, v in config.items() if k in TOP_LEVEL}).pretty_text


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
