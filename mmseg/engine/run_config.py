"""The config of a run: the sections that belong together, and the keys they need."""

from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config

from mmseg.errors import UserError

# Each section of a group needs the others.
TOGETHER = (
    ("train_dataloader", "train_cfg", "optim_wrapper"),
    ("val_dataloader", "val_cfg", "val_evaluator"),
    ("test_dataloader", "test_cfg", "test_evaluator"),
)
# The keys that a section needs.
NEEDED = {
    "model": ("type", "backbone", "decode_head", "data_preprocessor"),
    **{f"{split}_dataloader": ("dataset", "sampler") for split in ("train", "val", "test")},
}


def default_work_dir(config: str) -> str:
    """Return work_dirs/<name of the config>."""
    return str(Path("work_dirs") / Path(config).stem)


def check_complete(config: Config) -> None:
    """Raise `UserError` for a section that lacks, or a key that a section lacks."""
    for names in TOGETHER:
        lacking = [name for name in names if config.get(name) is None]
        if lacking and len(lacking) < len(names):
            there = next(name for name in names if name not in lacking)
            raise UserError(f"{config.filename}: has {there}, but no {' and no '.join(lacking)}")
    for section, keys in NEEDED.items():
        content = config.get(section)
        if isinstance(content, Mapping) and content.get("type") == "SegTTAModel":
            content = content.get("module")
        for key in keys if isinstance(content, Mapping) else ():
            if key not in content:
                raise UserError(f"{config.filename}: {section} has no {key!r}")
    if config.get("model") is None:
        raise UserError(f"{config.filename}: has no model")
