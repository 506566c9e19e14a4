"""Measure speed and memory, alone or against other code: speed.py train CONFIG --against DIR

The sides are processes that take turns: A B A B ... `worker.py` says what each part measures.
"""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from statistics import median
from subprocess import PIPE, Popen
from threading import Timer
from typing import Any

import numpy as np
import torch
from mmengine.config import DictAction
from PIL import Image

from mmseg.config import load_config
from mmseg.environment import SPINS
from mmseg.errors import UserError, one_line_errors, reason
from mmseg.export.engines import CHOICES

ENGINES = CHOICES[1:]
ROOT = Path(__file__).resolve().parents[2]
WARM_UP, FILES, SCENE = 2, 8, 5000  # rounds that do not count, drawn images, side of the scene
# Images at a time, and the unit of the result.
PARTS: dict[str, tuple[int | None, str]] = {
    "infer": (1, "ms"),
    "predict": (1, "ms"),
    "train": (2, "ms per step"),
}
PARTS |= {"eval": (1, "ms per image"), "data": (2, "samples/s"), "map": (None, "ms per scene")}
PEER_CONFIG = "segnext_mscan-{}_1xb16-adamw-160k_ade20k-512x512.py"
# What a job is, if nothing else is said; `path` is the folder of `mmseg`.
JOB: dict[str, Any] = {"name": "this", "python": sys.executable, "path": str(ROOT), "options": {}}
JOB |= {"engine": "torch", "plain": False, "compile": False, "amp": None, "check": False}
JOB |= {"device": "cpu", "size": (512, 512), "batch": 1, "passes": 8, "seconds": 0.5}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("part", choices=PARTS)
    add("config", help="a config file, such as one of local_configs/segnext")
    text = "an engine, a checkout of this project, or the peer"
    add("--against", metavar="ENGINE|DIR|onedl", help=text)
    add("--engine", choices=ENGINES, default="torch", help="what runs this side's network")
    add("--peer-python", metavar="PY", help="the python that has onedl-mmsegmentation")
    add("--cfg-options", nargs="+", action=DictAction, default={}, help="for both sides")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--amp", choices=["bf16"], help="mixed precision")
    add("--batch", type=int, help="images at a time (train and data 2, map as the tool, else 1)")
    add("--size", type=int, nargs=2, default=(512, 512), metavar=("H", "W"))
    add("--runs", type=int, default=10, metavar="N", help="rounds that count")
    return parser.parse_args()


def make_sides(args: argparse.Namespace) -> list[dict]:
    """Return the jobs of this code and of what it is compared with."""
    path = Path(args.config).resolve()
    this = JOB | {key: value for key, value in vars(args).items() if key in JOB}
    this |= {"part": args.part, "config": str(path), "options": args.cfg_options}
    this["check"] = args.against is not None
    if args.against is None:
        return [this]
    if args.against in ENGINES:
        other = {"name": args.against, "engine": args.against}
        return [this | {"name": args.engine}, this | other]
    if args.against == "onedl":
        return [this, peer_of(this, args.peer_python)]
    root = Path(args.against).resolve()
    if not (root / "mmseg").is_dir():
        raise UserError(f"--against {args.against}: there is no mmseg in it")
    own = root / os.path.relpath(path, ROOT)
    other = {"name": args.against, "path": str(root), "engine": "torch"}
    return [this, this | other | {"config": str(own if own.is_file() else path)}]


def peer_of(job: Mapping, python: str | None) -> dict:
    """Return the job of onedl-mmsegmentation that does the same as one of this project."""
    size = re.search(r"(tiny|small|base|large)\.512x512\.ade\.160k\.py$", job["config"])
    if size is None or not shutil.which(python or ""):
        raise UserError("onedl needs a config of 512x512.ade.160k and --peer-python")
    # The peer's rank is 16 in all sizes: with another one it would compute something else.
    rank = load_config(job["config"], job["options"]).model.decode_head.ham_kwargs.MD_R
    options = {"model.decode_head.ham_kwargs.MD_R": rank, **job["options"]}
    peer = {"name": "onedl", "python": python, "path": "", "config": PEER_CONFIG.format(size[1][0])}
    return {**job, **peer, "options": options}


def side(job: Mapping, limit: float | None = None) -> Iterator[dict]:
    """Yield what a side's process answers: first when all is built, then after each turn.

    A process that takes more than `limit` seconds to build is ended. `UserError` says why there is
    no answer.
    """
    # The tools let idle threads spin as briefly.
    path = f"{job['path']}{os.pathsep}{os.environ.get('PYTHONPATH', '')}" if job["path"] else ""
    variables = {"GOMP_SPINCOUNT": SPINS, **os.environ, "PYTHONPATH": path}
    command = [job["python"], "-W", "ignore", str(Path(__file__).with_name("worker.py"))]
    pipes: Any = {"stdin": PIPE, "stdout": PIPE, "text": True, "bufsize": 1}
    process: Any = Popen(command, env=variables, **pipes)
    clock = Timer(limit or 1e6, process.kill)
    clock.start()
    question = dict(job)
    try:
        while True:
            with suppress(BrokenPipeError):
                process.stdin.write(json.dumps(question, default=str) + "\n")
            answer = json.loads(process.stdout.readline() or '{"error": "the process ended"}')
            clock.cancel()
            if "error" in answer:
                raise UserError(f"{job['name']}: {reason(Exception(answer['error']), 300)}")
            yield answer
            question = {}
    finally:
        clock.cancel()
        process.kill()
        process.wait()


def draw_files(folder: Path, size: Sequence[int], count: int = FILES) -> None:
    """Write smooth pictures with grain as JPEGs, and masks of blocks as PNGs, both (H, W)."""
    rng, whole = np.random.default_rng(0), (size[1], size[0])
    coarse = size[0] // 32 + 2, size[1] // 32 + 2
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        blobs = Image.fromarray(rng.integers(0, 256, (*coarse, 3), np.uint8))
        grain = Image.effect_noise(whole, 64).convert("RGB")
        picture = Image.blend(blobs.resize(whole, Image.Resampling.BICUBIC), grain, 0.15)
        picture.save(folder / f"images/{number}.jpg", quality=95)
        ids = Image.fromarray(rng.integers(1, 5, coarse, np.uint8))  # ids of every data set
        ids.resize(whole, Image.Resampling.NEAREST).save(folder / f"masks/{number}.png")


def spread(values: Sequence[float], digits: int) -> str:
    """Write the median and, in brackets, the smallest and the largest value."""
    texts = [f"{value:.{digits}f}" for value in (median(values), min(values), max(values))]
    return "{} ({} to {})".format(*texts)


def result_line(part: str, turns: Mapping[str, list[dict]]) -> str:
    """Write speed and peak memory of each side, and the ratio of the two."""
    texts, seconds = [], [[turn["seconds"] for turn in each] for each in turns.values()]
    for name, times in zip(turns, seconds, strict=True):
        speed = spread([1 / t if part == "data" else 1000 * t for t in times], 1)
        peak = f"peak {turns[name][-1]['peak_mib']:.0f} MiB"
        texts.append(f"{name} {speed} {PARTS[part][1]}, {peak}")
    if len(turns) == 2:
        ratios = [other / this for this, other in zip(*seconds, strict=True)]
        texts.append(f"this is {spread(ratios, 2)} times as fast")
    return f"{part}: {'; '.join(texts)}; n = {len(seconds[0])}"


@one_line_errors
def main() -> None:
    args = parse_args()
    args.batch = args.batch or PARTS[args.part][0]
    if min(args.runs, args.batch or 1) < 1 or min(args.size) < 32:
        raise UserError("--runs and --batch start at 1, --size at 32 32")
    jobs = make_sides(args)
    turns: dict[str, list[dict]] = {job["name"]: [] for job in jobs}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        is_map = args.part == "map"
        draw_files(Path(folder), [SCENE] * 2 if is_map else args.size, 1 if is_map else FILES)
        sides: dict[str, Any] = {job["name"]: side(job | {"files": folder}) for job in jobs}
        for each in sides.values():  # one after the other: the first makes the weights of both
            next(stack.enter_context(closing(each)))
        for _ in range(WARM_UP + args.runs):
            for name, each in sides.items():
                turns[name].append(next(each))
    counted = {name: each[WARM_UP:] for name, each in turns.items()}
    sys.stdout.write(f"{result_line(args.part, counted)}\n")


if __name__ == "__main__":
    main()
