"""The stages of `gpu.py`. Each adds rows to the report as soon as it has measured them."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import StringIO
from itertools import islice, product
from logging import StreamHandler
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
import worker
from mmengine.logging import MMLogger
from speed import JOB, ROOT, draw_files, peer_of, side
from torch.utils.benchmark import Timer

from mmseg.apis import init_model
from mmseg.config import load_config
from mmseg.datasets import CamVidDataset
from mmseg.engine import SegRunner
from mmseg.engine.prepare import use_amp
from mmseg.errors import UserError, reason

CONFIGS = ROOT / "local_configs/segnext"
T = "tiny/segnext.tiny.512x512.ade.160k.py"
SCENE = "tiny/segnext.tiny.512x512.landcover.40k_weight.py"
SMALL = {"embed_dims": (8, 16, 24, 32), "depths": (1, 1, 1, 1)}  # the network of the rehearsal
GRAPHS: dict[str, Any] = {"compile": True}
# How sides differ from code that is eager, contiguous, not fused and without kernels.
SIDES: dict[str, dict] = {"eager": {}, "channels_last": {"channels_last": True}, "graphs": GRAPHS}
SIDES["depthwise"] = {**GRAPHS, "kernels": ["depthwise"]}
TRAINING = {**SIDES, "compile": {"compile": "no graphs"}}
TRAINING["cross_entropy"] = {**GRAPHS, "kernels": ["cross_entropy"]}
INFERENCE = {**SIDES, "fused": {"plain": False}, "class_map": {**GRAPHS, "kernels": ["class_map"]}}
AT_ONCE = {"tiny": 8, "large": 4}  # sides whose networks fit the memory together
ROUNDS, SECONDS_TO_START = 5, 150
CHECKS = ("tests/models/test_golden.py", "tests/ops/test_triton.py", "tests/test_on_gpu.py")


class Stage:
    """What a stage has: arguments, a way to add rows, sizes, and a folder with drawn images."""

    def __init__(self, args: Namespace, add: Callable, folder: str) -> None:
        self.args, self.add, self.folder, self.small = args, add, Path(folder), args.rehearse
        self.device = "cpu" if self.small else "cuda"
        self.side, self.batch = (32, 2) if self.small else (512, 16)
        head = {"in_channels": (16, 24, 32), "channels": 32, "ham_channels": 32}
        self.options = {"model.backbone": SMALL, "model.decode_head": head} if self.small else {}
        draw_files(self.folder, (self.side, self.side))
        if self.small:
            torch.set_num_threads(1)

    def seconds(self, action: Callable) -> float:
        """Return how long an action takes, with the work that it leaves to the GPU."""
        timer = Timer("action()", globals={"action": action})
        return timer.blocked_autorange(min_run_time=0.001 if self.small else 0.05).median

    def job(self, part: str, config: str = T, **changes: Any) -> dict:
        """Return the job of a side, as `worker.py` reads it."""
        job = JOB | {"part": part, "config": str(CONFIGS / config), "options": self.options}
        job |= {"files": str(self.folder), "batch": self.batch, "size": [self.side] * 2}
        job |= {"device": self.device, "plain": True, "channels_last": False, "kernels": []}
        return job | {"amp": "bf16", "seconds": 0.001 if self.small else 2} | changes

    def attempt(self, name: str, action: Callable) -> Any:
        """Return what an action gives, or None after a row with the reason."""
        try:
            return action()
        except Exception as error:
            self.add(name, error=f"{type(error).__name__}: {reason(error)}")


def take_turns(stage: Stage, jobs: Mapping[str, dict]) -> None:
    """Start all sides at once, since most of them compile; then let them measure in turn."""
    sides: dict[str, Any] = {  # a process of its own takes seconds to start
        name: worker.answers(job, iter(dict, None)) if stage.small else side(job, SECONDS_TO_START)
        for name, job in jobs.items()
    }
    with ThreadPoolExecutor(1 if stage.small else None) as pool:
        ready = pool.map(lambda name: stage.attempt(name, partial(next, sides[name])), sides)
        built = [name for name, answer in zip(sides, ready, strict=True) if answer is not None]
    turns: dict[str, list] = {name: [] for name in built}
    for _, name in product(range(1 if stage.small else ROUNDS), built):
        if None not in turns[name]:
            turns[name].append(stage.attempt(name, partial(next, sides[name])))
    for name in (each for each in built if None not in turns[each]):
        seconds = median(answer["seconds"] for answer in turns[name])
        images = 1 if jobs[name]["part"] == "data" else jobs[name]["batch"]
        values = {"ms": 1000 * seconds, "images_per_s": images / seconds}
        stage.add(name, **values, peak_mib=turns[name][-1]["peak_mib"])
    for each in sides.values():
        each.close()


def compare(part: str, size: str, sides: Mapping, stage: Stage) -> None:
    """Measure all sides and the peer; for predictions, with one image and with 32 too."""
    base = stage.job(part, T.replace("tiny", size))
    jobs = {name: base | sides[name] for name in islice(sides, 2 if stage.small else None)}
    if peer := stage.attempt("onedl", partial(peer_of, base, stage.args.peer_python)):
        del peer["kernels"]
        jobs |= {"onedl": peer, "onedl compiled": peer | GRAPHS}
    batches = [stage.batch] if part == "train" or stage.small else [1, 32]
    named = {f"{n}, batch {b}": jobs[n] | {"batch": b} for b, n in product(batches, jobs)}
    while named:
        together = list(named)[: 1 if stage.small else AT_ONCE[size]]
        take_turns(stage, {name: named.pop(name) for name in together})
    if part == "predict":
        stage.attempt("onnx", partial(onnx, base, batches, stage))


def onnx(job: dict, batches: list[int], stage: Stage) -> None:
    """Export the network, class map included, and run it where ONNX Runtime can."""
    import onnxruntime

    from mmseg.export import export_model

    file, image_size = stage.folder / "model.onnx", (stage.side, stage.side)
    model = init_model(worker.read_config(job), device="cpu", fused=False)
    export_model(model, file, input="tensor", size=image_size)
    there = set(onnxruntime.get_available_providers())
    wanted = {"CPUExecutionProvider"} if stage.small else there - {"CPUExecutionProvider"}
    for provider, batch in product(sorted(wanted & there), batches):
        session = onnxruntime.InferenceSession(file, providers=[provider])
        if provider not in session.get_providers():  # it went on without, after a warning
            raise UserError(f"{provider} could not be loaded; the log tells why")
        x = {session.get_inputs()[0].name: np.zeros((batch, 3, *image_size), np.float32)}
        seconds = stage.seconds(partial(session.run, None, x))  # the copies to and fro included
        stage.add(f"onnx {provider}, batch {batch}", ms=1000 * seconds)


def facts(stage: Stage) -> None:
    about = {"torch": torch.__version__, "cuda": str(torch.version.cuda), "numpy": np.__version__}
    stage.add("versions", python=sys.version.split()[0], **about)
    if not stage.small:
        query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv"]
        stage.add("device", found=subprocess.check_output(query, text=True))
    n = 64 if stage.small else 8192
    a, b = (torch.randn(n, n, device=stage.device, dtype=torch.bfloat16) for _ in range(2))
    large, copy = (torch.zeros(16, n, n, device=stage.device, dtype=torch.uint8) for _ in range(2))
    stage.add("copy", tb_per_s=2 * copy.numel() / stage.seconds(lambda: copy.copy_(large)) / 1e12)
    stage.add("bf16 product", tflop_per_s=2 * n**3 / stage.seconds(lambda: a @ b) / 1e12)


def correctness(stage: Stage) -> None:
    """Run the tests that compute on the GPU if there is one."""
    import pytest

    class Rows:
        def pytest_runtest_logreport(self, report: Any) -> None:
            if report.when == "call" or report.outcome != "passed":
                values = {} if report.skipped else {"passed": report.passed}
                if not report.passed:
                    values["error"] = reason(report.longrepr, 2000)[-200:]
                stage.add(report.nodeid.partition("::")[2], **values)

    which = [str(ROOT / file) for file in CHECKS]
    which = ["-k", "class_maps_equal", which[-1]] if stage.small else which
    code = pytest.main(["-q", "-p", "no:cacheprovider", "-o", "addopts=", *which], [Rows()])
    if code > 1:  # 1: a test failed
        raise UserError(f"pytest ended with code {code}; the log tells why")


def operations(stage: Stage) -> None:
    found = runpy.run_path(str(ROOT / "tests/ops/time_operations.py"))["operations"]
    all_of_them = found(stage.device, stage.batch, stage.side)
    for name, action in islice(all_of_them, 0, None, 11 if stage.small else 1):
        if seconds := stage.attempt(name, partial(stage.seconds, action)):
            stage.add(name, ms=1000 * seconds)


def loader(stage: Stage) -> None:
    """Samples per second of the loader, and the time that training waits for it."""
    for name, cached in (("from files", False), ("images in memory", True)):
        options = {**stage.options, "train_dataloader.dataset.cache_in_memory": cached}
        options["train_dataloader.num_workers"] = 0 if stage.small else os.cpu_count()
        passes = 1 if stage.small else 128
        take_turns(stage, {name: stage.job("data", options=options, passes=passes)})
    config = worker.read_config(stage.job("train"))
    config.val_dataloader = config.val_cfg = config.val_evaluator = None
    set_run(stage, config, 2 if stage.small else 60, "run")
    lines = train_here(config)[1:]  # after the first iterations
    step, waiting = (sum(line[key] for line in lines) / len(lines) for key in ("time", "data_time"))
    # The GPU waits at most so long: it still computes a backward pass when the wait begins.
    stage.add("60 iterations", ms=1000 * step, share_of_waiting=waiting / step)


def set_run(stage: Stage, config: Any, iterations: int, name: str, seed: int = 0) -> None:
    """Let a config train so long, as `tools/train.py --amp` does, in a folder of that name."""
    use_amp(config)
    config.train_cfg.update(max_iters=iterations, val_interval=iterations)
    config.param_scheduler[0].end = iterations // 10 + 1
    config.param_scheduler[-1].update(begin=iterations // 10 + 1, end=iterations + 1)
    config.default_hooks.logger.interval = max(1, iterations // 12)
    config.train_dataloader.update(batch_size=stage.batch, num_workers=0 if stage.small else 16)
    config.randomness, config.work_dir = {"seed": seed}, str(stage.folder / name)


def read_log(config: Any) -> list[dict]:
    log = next(Path(config.work_dir).glob("*/vis_data/scalars.json"))
    return [json.loads(line) for line in log.read_text().splitlines()]


def train_here(config: Any) -> list[dict]:
    SegRunner.from_cfg(config).train()
    return read_log(config)


def mapping(stage: Stage) -> None:
    """Map a drawn scene with T."""
    from mmseg.raster import MapOptions, map_scene

    files, totals = stage.folder / "scene", [0]
    draw_files(files, [96 if stage.small else 8192] * 2, 1)
    job = stage.job("map", SCENE, files=str(files), plain=False)
    model = worker.build_model(worker.read_config(job), job)
    MMLogger.get_current_instance().addHandler(StreamHandler(log := StringIO()))
    start, names = perf_counter(), (model, files / "images/0.jpg", files / "map")
    options = MapOptions(batch_size=stage.batch)
    map_scene(*names, options, progress=lambda _, total: totals.append(total))
    seconds = perf_counter() - start
    told = log.getvalue().splitlines()[-1].rpartition(": ")[2]  # the share of the model
    stage.add("map", seconds=seconds, windows_per_s=totals[-1] / seconds, told=told)


def camvid(stage: Stage) -> None:
    """Train T from scratch on CamVid with two seeds, and the peer's T too; rehearse as drawn."""
    file = "tiny/segnext.tiny.352x480.camvid.20k_nopre.py"
    for seed, who in product(range(1 if stage.small else 2), ("this", "onedl")):
        if stage.small:
            config = worker.read_config(stage.job("train", file))
            config.val_dataloader = {**config.test_dataloader, "num_workers": 0}
        elif stage.args.camvid:
            config = load_config(CONFIGS / file)
            for each in (config.train_dataloader, config.val_dataloader):
                each.dataset.data_root = str(Path(stage.args.camvid).resolve())
        else:
            raise UserError("needs --camvid DIR")
        set_run(stage, config, 2 if stage.small else 600, name := f"{who}, seed {seed}", seed)
        train, start = partial(train_peer, stage) if who == "onedl" else train_here, perf_counter()
        if lines := stage.attempt(name, partial(train, config)):
            stage.add(name, mIoU=lines[-1]["mIoU"], seconds=perf_counter() - start)


def train_peer(stage: Stage, config: Any) -> list[dict]:
    """Train the peer's T with its own optimiser, on the data and schedule of a config."""
    if not shutil.which(stage.args.peer_python or ""):
        raise UserError("needs --peer-python PY")
    config.metainfo, config.options = dict(CamVidDataset.METAINFO), stage.options
    config.dump(file := stage.folder / "peer.py")
    program = str(Path(__file__).with_name("peer_run.py"))
    if code := subprocess.run([stage.args.peer_python, "-W", "ignore", program, file]).returncode:
        raise UserError(f"it ended with code {code}; the log tells why")
    return read_log(config)


# The stages in order of worth, and the most seconds that each may take.
STAGES: dict[str, tuple[int, Callable[[Stage], None]]] = {
    "facts": (40, facts),
    "correctness": (120, correctness),
    "train-tiny": (150, partial(compare, "train", "tiny", TRAINING)),
    "infer-tiny": (120, partial(compare, "predict", "tiny", INFERENCE)),
    "train-large": (240, partial(compare, "train", "large", TRAINING)),
    "infer-large": (200, partial(compare, "predict", "large", INFERENCE)),
    "operations": (90, operations),
    "loader": (60, loader),
    "mapping": (60, mapping),
    "camvid": (240, camvid),
}
