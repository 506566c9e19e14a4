"""The config of a run: complete, and its text formatted once."""

import copy
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config

from mmseg.errors import UserError

# Sections of which each needs the others, and what they need to have.
TOGETHER = (
    ("train_dataloader", "train_cfg", "optim_wrapper"),
    ("val_dataloader", "val_cfg", "val_evaluator"),
    ("test_dataloader", "test_cfg", "test_evaluator"),
)
NEEDED = {
    "model": ("type", "backbone", "decode_head", "data_preprocessor"),
    **{f"{split}_dataloader": ("dataset", "sampler") for split in ("train", "val", "test")},
}


class RunConfig(Config):
    """A copy of a `Config` that formats its text again only when its content has changed.

    mmengine's runner stores the text in every checkpoint, and formatting takes half a second.
    """

    def __init__(self, config: Config) -> None:
        self.__dict__.update(vars(copy.deepcopy(config)))

    @property
    def pretty_text(self) -> str:
        content = repr(self._cfg_dict)
        known, text = self.__dict__.get("_formatted", (None, ""))
        if content != known:
            text = super().pretty_text
            self.__dict__["_formatted"] = content, text
        return text


def default_work_dir(config: str) -> str:
    """Return work_dirs/<name of the config>."""
    return str(Path("work_dirs") / Path(config).stem)


def check_complete(config: Config) -> None:
    """Raise `UserError` for a section, or a key of one, that a run cannot do without."""
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
