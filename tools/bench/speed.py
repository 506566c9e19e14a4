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
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median
from subprocess import PIPE, Popen
from typing import Any

import numpy as np
import torch
from mmengine.config import DictAction
from PIL import Image

from mmseg.config import load_config
from mmseg.environment import SPINS
from mmseg.errors import UserError, one_line_errors, reason
from mmseg.export.engines import CHOICES
from mmseg.files import write_whole

ENGINES = CHOICES[1:]
ROOT = Path(__file__).resolve().parents[2]
WARM_UP, FILES = 2, 8  # rounds that do not count, drawn images
BATCHES = {"infer": 1, "predict": 1, "train": 2, "eval": 1, "data": 2, "map": 4}
UNITS = {"infer": "ms", "predict": "ms", "train": "ms per step", "map": "ms per scene"}
UNITS |= {"eval": "ms per image", "data": "samples/s"}
BUSY = (sys.executable, "-c", "while True: pass")
PEER_CONFIG = "segnext_mscan-{}_1xb16-adamw-160k_ade20k-512x512.py"


class Worker:
    """The process of a side, and the answers of its turns."""

    def __init__(self, job: dict) -> None:
        self.name, self.load = job["name"], job["load"]
        self.turns: list[dict] = []
        # The tools let idle threads spin as briefly.
        path = f"{job['path']}{os.pathsep}{os.environ.get('PYTHONPATH', '')}" if job["path"] else ""
        variables = {"GOMP_SPINCOUNT": SPINS, **os.environ, "PYTHONPATH": path}
        if job["threads"]:
            variables["OMP_NUM_THREADS"] = str(job["threads"])
        command = [job["python"], "-W", "ignore", str(Path(__file__).with_name("worker.py"))]
        pipes: Any = {"stdin": PIPE, "stdout": PIPE, "text": True, "bufsize": 1}
        self.process: Any = Popen(command, env=variables, **pipes)
        self.job = job

    def start(self) -> None:
        """Send the job, and wait until all is built."""
        self.versions = self.ask(self.job)

    def ask(self, question: dict) -> dict:
        """Send a line and return the answer; `UserError` says why there is none."""
        with suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(question, default=str) + "\n")
        answer = json.loads(self.process.stdout.readline() or '{"error": "the process ended"}')
        if "error" in answer:
            raise UserError(f"{self.name}: {reason(Exception(answer['error']), 300)}")
        return answer

    def take_turn(self) -> None:
        """Measure once, beside as many busy processes as the side asks for."""
        busy = [Popen(BUSY) for _ in range(self.load)]
        try:
            self.turns.append(self.ask({}))
        finally:
            for process in busy:
                process.kill()
                process.wait()


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("part", choices=BATCHES)
    add("config", help="a config file, such as one of local_configs/segnext")
    text = "an engine, a checkout of this project, or the peer"
    add("--against", metavar="ENGINE|DIR|onedl", help=text)
    add("--engine", choices=ENGINES, default="torch", help="what runs this side's network")
    text = "compare with the same code beside N processes that never wait"
    add("--load", type=int, default=0, metavar="N", help=text)
    add("--peer-python", metavar="PY", help="the python that has onedl-mmsegmentation")
    add("--cfg-options", nargs="+", action=DictAction, default={}, help="for both sides")
    add("--other-options", nargs="+", action=DictAction, default={}, help="for the other side")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--amp", choices=["bf16"], help="mixed precision")
    add("--compile", action="store_true", help="torch.compile the network")
    add("--batch", type=int, help="images at a time (train and data 2, else 1)")
    add("--scene", type=int, default=5000, metavar="SIDE", help="pixels of the scene of `map`")
    add("--size", type=int, nargs=2, default=(512, 512), metavar=("H", "W"))
    add("--runs", type=int, default=10, metavar="N", help="rounds that count")
    add("--threads", type=int, metavar="N", help="threads of torch")
    add("--no-check", action="store_true", help="time sides whose logits differ, too")
    add("--json", type=Path, metavar="OUT", help="write every time measured")
    return parser.parse_args()


def make_sides(args: argparse.Namespace) -> list[dict]:
    """Return this code and what it is compared with: name, Python, folder of `mmseg`, config."""
    path = Path(args.config).resolve()
    config = load_config(path, args.cfg_options)
    this: dict[str, Any] = {"name": "this", "python": sys.executable, "path": str(ROOT)}
    this |= {"config": str(path), "options": args.cfg_options, "load": 0}
    if args.load:
        return [this, {**this, "name": f"beside {args.load} busy processes", "load": args.load}]
    if args.against is None:
        return [this]
    other = {**this, "name": args.against, "engine": "torch"}
    other["options"] = {**args.cfg_options, **args.other_options}
    if args.against in ENGINES:
        return [{**this, "name": args.engine}, {**other, "engine": args.against}]
    if args.against == "onedl":
        size = re.search(r"(tiny|small|base|large)\.512x512\.ade\.160k\.py$", path.name)
        if size is None or not shutil.which(args.peer_python or ""):
            raise UserError("--against onedl: give a config of 512x512.ade.160k and --peer-python")
        # The peer's rank is 16 in all sizes: with another one it would compute something else.
        rank = {"model.decode_head.ham_kwargs.MD_R": config.model.decode_head.ham_kwargs.MD_R}
        other |= {"python": args.peer_python, "path": "", "config": PEER_CONFIG.format(size[1][0])}
        return [this, {**other, "options": {**rank, **other["options"]}}]
    root = Path(args.against).resolve()
    if not (root / "mmseg").is_dir():
        raise UserError(f"--against {args.against}: there is no mmseg in it")
    own = root / os.path.relpath(path, ROOT)
    return [this, {**other, "path": str(root), "config": str(own if own.is_file() else path)}]


def draw_files(folder: Path, size: Sequence[int], count: int = FILES) -> None:
    """Write smooth pictures with grain as JPEGs, and masks of blocks as PNGs, both (H, W)."""
    rng = np.random.default_rng(0)
    coarse, whole = (size[0] // 32 + 2, size[1] // 32 + 2), (size[1], size[0])
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    for number in range(count):
        blobs = Image.fromarray(rng.integers(0, 256, (*coarse, 3), np.uint8))
        smooth = np.asarray(blobs.resize(whole, Image.Resampling.BICUBIC))
        picture = (smooth + rng.normal(0, 8, smooth.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"images/{number}.jpg", quality=95)
        ids = Image.fromarray(rng.integers(1, 5, coarse, np.uint8))  # ids of every data set
        ids.resize(whole, Image.Resampling.NEAREST).save(folder / f"masks/{number}.png")


def spread(values: Sequence[float], digits: int) -> str:
    """Write the median and, in brackets, the smallest and the largest value."""
    texts = [f"{value:.{digits}f}" for value in (median(values), min(values), max(values))]
    return "{} ({} to {})".format(*texts)


def result_line(part: str, workers: Sequence[Worker]) -> str:
    """Write speed and peak memory of each side, and the ratio of the two."""
    seconds = [[turn["seconds"] for turn in worker.turns[WARM_UP:]] for worker in workers]
    texts = []
    for worker, times in zip(workers, seconds, strict=True):
        speed = spread([1 / t if part == "data" else 1000 * t for t in times], 1)
        peak = f"peak {worker.turns[-1]['peak_mib']:.0f} MiB"
        texts.append(f"{worker.name} {speed} {UNITS[part]}, {peak}")
    if len(workers) == 2:
        ratios = [other / this for this, other in zip(*seconds, strict=True)]
        texts.append(f"this is {spread(ratios, 2)} times as fast")
    return f"{part}: {'; '.join(texts)}; n = {len(seconds[0])}"


@one_line_errors
def main() -> None:
    args = parse_args()
    args.batch = args.batch or BATCHES[args.part]
    if min(args.runs, args.batch) < 1 or min(args.size) < 32:
        raise UserError("--runs and --batch start at 1, --size at 32 32")
    workers: list[Worker] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        is_map = args.part == "map"
        draw_files(Path(folder), (args.scene,) * 2 if is_map else args.size, 1 if is_map else FILES)
        for side in make_sides(args):  # one after the other: the first makes the weights of both
            workers.append(Worker({**vars(args), **side, "files": folder}))
            stack.enter_context(workers[-1].process)
            workers[-1].start()
        for _ in range(WARM_UP + args.runs):
            for worker in workers:
                worker.take_turn()
    sys.stdout.write(f"{result_line(args.part, workers)}\n")
    if args.json:
        turns = {w.name: {"versions": w.versions, "turns": w.turns[WARM_UP:]} for w in workers}
        write_whole(args.json, json.dumps({"command": sys.argv, "sides": turns}).encode())


if __name__ == "__main__":
    main()
