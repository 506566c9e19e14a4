"""Who is measured: this project as a config has it, its plain paths, another config, the peer."""

import copy
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mmseg.benchmark import workers
from mmseg.benchmark.inputs import random_weights
from mmseg.benchmark.settings import Settings, own_path
from mmseg.errors import UserError
from mmseg.registry import MODELS

PEER, PEER_VERSION, PEER_RANK = "onedl-mmsegmentation", "1.4.2", 16
# The peer's configs by the blocks and the widths of the encoder.
SIZE_LETTERS = {
    ((3, 3, 5, 2), (32, 64, 160, 256)): "t",
    ((2, 2, 4, 2), (64, 128, 320, 512)): "s",
    ((3, 3, 12, 3), (64, 128, 320, 512)): "b",
    ((3, 5, 27, 3), (64, 128, 320, 512)): "l",
}


@dataclass(frozen=True)
class Side:
    """A project to measure: how its worker is started, and what of the job is its own."""

    name: str
    command: list[str]
    job: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The name with what was switched on."""
        switches = [self.job["amp"] or "float32", *(["compiled"] if self.job["compile"] else [])]
        return f"{self.name}, {', '.join(switches)}"


def prepare_config(config: Config, settings: Settings) -> Config:
    """Return a copy that builds without downloads, with the size that is asked for."""
    config = copy.deepcopy(config)
    config.model.backbone.pop("init_cfg", None)
    config.model.data_preprocessor.size = settings.size
    set_crop_size(config.train_dataloader.dataset, settings.size)
    return config


def set_crop_size(dataset: dict, size: tuple[int, int]) -> None:
    """Let the pipeline of a data set, wrapped or not, crop to this size."""
    for step in dataset.get("pipeline", ()):
        if "crop_size" in step:
            step["crop_size"] = size
    for wrapped in [dataset.get("dataset"), *dataset.get("datasets", ())]:
        if wrapped:
            set_crop_size(wrapped, size)


def our_side(
    name: str, config: Config, settings: Settings, folder: Path, fast_ops: bool | None = None
) -> Side:
    """Write the config, and weights unless there are some, into `folder`."""
    written = copy.deepcopy(config)
    if fast_ops is not None:
        written.fast_ops = fast_ops
    folder.mkdir(parents=True, exist_ok=True)
    written.dump(folder / f"{name}.py")
    torch.save(random_weights(MODELS.build(config.model)), folder / f"{name}.pth")
    job = {
        "config": str(folder / f"{name}.py"),
        "weights": str(folder / f"{name}.pth"),
        "num_classes": config.model.decode_head.num_classes,
        "nmf_rank": config.model.decode_head.ham_kwargs["MD_R"],
        "amp": settings.amp,
        "compile": settings.compile,
    }
    command = [sys.executable, "-m", "mmseg.benchmark.workers.ours"]
    return Side(name, command, job, {"PYTHONPATH": own_path()})


def plain_sides(config: Config, settings: Settings, folder: Path) -> list[Side]:
    """Return the plain paths, which compute what the official network does: eager, and compiled if
    ours are.
    """
    plain = our_side("plain", config, settings, folder, fast_ops=False)
    eager = replace(plain, job={**plain.job, "compile": False})
    return [eager, plain] if settings.compile else [eager]


def peer_sides(config: Config, ours: Side, python: str | None) -> list[Side]:
    """Return the peer as it comes and, where ours has switches on, with the same ones.

    It takes the weights of `ours`. Raises `UserError` when the environment does not hold it or the
    config is none that it has.
    """
    version = find_peer(python)
    backbone = config.model.backbone
    letter = SIZE_LETTERS.get((tuple(backbone.get("depths", ())), tuple(backbone.embed_dims)))
    dataset = config.train_dataloader.dataset
    if letter is None or dataset.type != "ADE20KDataset":
        raise UserError(f"--against onedl: {config.filename} is not of SegNeXt on ADE20K")
    job = {
        "weights": ours.job["weights"],
        "size_letter": letter,
        "num_classes": ours.job["num_classes"],
        "nmf_rank": PEER_RANK,
        "class_weight": config.model.decode_head.get("loss_decode", {}).get("class_weight"),
        "data_root": dataset.data_root,
        "workers": config.train_dataloader.num_workers,
        "amp": None,
        "compile": False,
    }
    command = [str(python), str(Path(workers.__file__).parent / "onedl.py")]
    notes = [
        f"onedl: {PEER} {version}; NMF rank {PEER_RANK} in all sizes, ours {ours.job['nmf_rank']}"
    ]
    if version != PEER_VERSION:
        notes.append(f"onedl: this tool was made for {PEER_VERSION}, not {version}")
    peer = Side("onedl", command, job, notes=notes)
    switches = {key: ours.job[key] for key in ("amp", "compile")}
    same = replace(peer, notes=[], job={**job, **switches})
    return [peer] if same.job == job else [peer, same]


def find_peer(python: str | None) -> str:
    """Return the version of the peer that `python` imports; `UserError` when it has none."""
    if python is None:
        raise UserError(
            f"--against onedl: name the python of an environment with {PEER} as --peer-python; "
            "docs/benchmarks.md says how to make one"
        )
    question = f"from importlib.metadata import version; print(version('{PEER}'))"
    try:
        asked = subprocess.run(
            [python, "-E", "-c", question], capture_output=True, text=True, timeout=60, cwd="/"
        )
    except OSError as error:
        raise UserError(f"--peer-python {python}: cannot be run ({error.strerror})") from error
    if asked.returncode:
        raise UserError(f"--peer-python {python}: has no {PEER}; install {PEER}=={PEER_VERSION}")
    return asked.stdout.strip()
