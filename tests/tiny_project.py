"""A project of the tools in a folder: images of two splits, and a config that trains in seconds."""

from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
# A model of 45,000 parameters; `size` is that of the crops it trains on.
MODEL = """
_base_ = [
    "{root}/local_configs/_base_/models/mscan_tiny.py",
    "{root}/local_configs/_base_/datasets/landcover.py",
    "{root}/local_configs/_base_/schedules/adamw.py",
    "{root}/local_configs/_base_/default_runtime.py",
]
model = dict(
    data_preprocessor=dict(size=({size}, {size})),
    backbone=dict(init_cfg=None, embed_dims=(8, 16, 24, 32), depths=(1, 1, 1, 1)),
    decode_head=dict(
        in_channels=(16, 24, 32),
        channels=32,
        ham_channels=32,
        ham_kwargs=dict(MD_R=4),
        num_classes={num_classes},
        norm_cfg=dict(type="GN", num_groups=4),
    ),
)
"""
DATA_AND_SCHEDULE = """
dataset = dict(
    type="BaseSegDataset",
    data_root="{data}",
    metainfo=dict(
        classes=("ground", "roof", "tree"), palette=[(0, 0, 0), (200, 0, 0), (0, 160, 0)]
    ),
    img_suffix=".png",
    ann_file="",
)
train_pipeline = _base_.train_pipeline
train_pipeline[2].update(scale=(64, 64), crop_size=(32, 32))
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (64, 64)
train = dict(img_path="train/images", seg_map_path="train/masks")
val = dict(img_path="val/images", seg_map_path="val/masks")
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(dataset, data_prefix=train, pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(dataset, data_prefix=val, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [dict(type="PolyLR", power=1.0, by_epoch=False, begin=0, end=9)]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=4, val_interval=2)
default_hooks = dict(logger=dict(interval=1))
"""


def write_split(folder: Path, count: int, rng: np.random.Generator) -> None:
    """Images whose colour tells the class, in sizes that differ."""
    colours = np.array([(120, 110, 90), (200, 60, 50), (40, 120, 40)])
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for i in range(count):
        height, width = 40 + 8 * (i % 3), 64
        mask = np.kron(rng.integers(0, 3, (height // 8, width // 8)), np.ones((8, 8)))
        mask = mask.astype(np.uint8)
        image = np.clip(colours[mask] + rng.normal(0, 12, (height, width, 3)), 0, 255)
        mask[:2] = 255
        Image.fromarray(image.astype(np.uint8)).save(folder / f"images/{i}.png")
        Image.fromarray(mask).save(folder / f"masks/{i}.png")


def write_project(folder: Path, added: str = "") -> None:
    """Write `data`, six images to train with and five to validate with, and the config `tiny.py`.

    `added` is appended to the config.
    """
    rng = np.random.default_rng(0)
    write_split(folder / "data/train", 6, rng)
    write_split(folder / "data/val", 5, rng)
    model = MODEL.format(root=ROOT, size=32, num_classes=3)
    config = model + DATA_AND_SCHEDULE.format(data=folder / "data")
    (folder / "tiny.py").write_text(config + added)
