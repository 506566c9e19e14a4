"""One side of a measurement: a process that builds a model or a loader and runs it when asked.

It uses mmengine's interfaces, so it runs on this project, its older commits and the peer too. The
first line on standard input is the job. Each later line asks for one turn. All lines are JSON.
"""

import importlib
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import nn
from torch.utils.benchmark import Timer
from torch.utils.data import DataLoader

import mmseg
from mmseg import structures
from mmseg.registry import DATASETS, METRICS, MODELS

TOLERANCE = 1e-4  # of the largest logit
# An installed project would lend its rooms to a checkout that has less of them.
ROOMS = Path(mmseg.__file__).parent
PEER_CONFIGS = ROOMS / ".mim/configs/segnext"


def read_config(job: dict) -> Config:
    """Read the side's own config; let it use the drawn files and no downloaded weights."""
    config = Config.fromfile(job["config"] if job["path"] else PEER_CONFIGS / job["config"])
    config.merge_from_dict(job["options"])
    config.model.backbone.pop("init_cfg", None)
    config.model.data_preprocessor.size = tuple(job["size"])
    for split in ("train", "test"):
        loader = config[f"{split}_dataloader"]
        while "pipeline" not in loader.dataset:  # a wrapper of one or several data sets
            loader.dataset = loader.dataset.get("dataset") or loader.dataset.datasets[0]
        folders = {"img_path": "images", "seg_map_path": "masks"}
        loader.dataset.update(data_root=job["files"], data_prefix=folders, ann_file="")
        loader.dataset.update(img_suffix=".jpg", seg_map_suffix=".png")
        for step in loader.dataset.pipeline:
            if "crop_size" in step:
                step.crop_size = tuple(job["size"])
    return config


def load_weights(model: nn.Module, file: Path) -> None:
    """Load the random weights that all sides share; the first side makes them."""
    state = model.state_dict()
    names = {key: key.replace(".dwconv", "") for key in state}  # the peer has one of them less
    if not file.exists():
        for value in state.values():
            if value.ndim == 1:  # layer scales and statistics at which every path counts
                value += 0.2 * torch.rand_like(value)
        part = file.with_suffix(f".{os.getpid()}")  # sides may start at once
        torch.save({names[key]: value for key, value in state.items()}, part)
        part.replace(file)
    weights = torch.load(file, weights_only=True)
    model.load_state_dict({key: weights[name] for key, name in names.items()})


def build_model(config: Config, job: dict) -> Any:
    """Build the model as the part uses it: fused or compiled, and in mixed precision if asked."""
    config.model.setdefault("test_cfg", {"mode": "whole"})["amp"] = bool(job["amp"])
    model: Any = MODELS.build(config.model)
    ids, weights = range(config.model.decode_head.num_classes), Path(job["files"], "weights.pth")
    model.cfg = config
    model.dataset_meta = {"classes": [str(k) for k in ids], "palette": [[k, k, k] for k in ids]}
    load_weights(model, weights)
    trains = job["part"] == "train"
    model.to(job["device"]).train(trains)
    if job["compile"] and not job["path"]:
        model.forward = torch.compile(model.forward)  # as mmengine's runner does
    elif job["compile"]:
        own = importlib.import_module("mmseg.engine.compile")
        own.compile_network(model, trains, accumulates=job["compile"] == "no graphs")
    elif not trains and not job["plain"] and (ROOMS / "export").is_dir():  # the peer has none
        export = importlib.import_module("mmseg.export")
        model = export.for_inference(model, job["engine"], weights)
    if job["amp"]:
        model.forward = torch.autocast(job["device"].split(":")[0], torch.bfloat16)(model.forward)
    return model


@torch.no_grad()
def check_equal(config: Config, job: dict) -> None:
    """Refuse a side whose float32 logits are not those of the first side."""
    model = build_model(config, {**job, "amp": None, "compile": False}).eval()
    torch.manual_seed(0)
    x = torch.randn(1, 3, *job["size"]).to(job["device"])
    torch.manual_seed(0)  # the peer draws the bases of its factorisation: now they are ours
    logits = model(x, mode="tensor").float().cpu()
    file = Path(job["files"], "logits.pth")
    if not file.exists():
        torch.save(logits, file)
    expected = torch.load(file, weights_only=True)
    gap = ((logits - expected).abs().max() / expected.abs().max()).item()
    if not gap <= TOLERANCE:  # NaN does not pass
        raise ValueError(f"its logits are not this code's (by {gap:.1e})")


def build_loader(config: Config, split: str, batch: int, passes: int = 1) -> Any:
    """Make a loader with the config's workers that reads each file `passes` times."""
    dataset: Any = DATASETS.build(config[f"{split}_dataloader"].dataset)
    number = config[f"{split}_dataloader"].num_workers
    workers = {"num_workers": number, "persistent_workers": number > 0}
    stack = (split == "train" and getattr(structures, "stack_batch", None)) or pseudo_collate
    workers["pin_memory"] = torch.cuda.is_available()
    order = [*range(len(dataset))] * passes
    return DataLoader(dataset, batch, sampler=order, collate_fn=stack, **workers)


def network(config: Config, job: dict) -> tuple[Callable, int]:
    """Normalised images in memory to logits at 1/8 (`infer`) or to class maps (`predict`)."""
    model = build_model(config, job)
    x = torch.randn(job["batch"], 3, *job["size"]).to(job["device"])
    sizes = {"ori_shape": tuple(job["size"]), "img_shape": tuple(job["size"])}
    samples = [structures.SegDataSample(metainfo=sizes) for _ in x]
    mode = "tensor" if job["part"] == "infer" else "predict"
    return torch.no_grad()(lambda: model(x, samples, mode=mode)), 1


def train(config: Config, job: dict) -> tuple[Callable, int]:
    """A training step on a batch in memory, with the optimiser that the config describes."""
    torch.backends.cudnn.benchmark = config.env_cfg.cudnn_benchmark  # as a run does
    model = build_model(config, job)
    wrapper = OptimWrapper(build_optim_wrapper(model, config.optim_wrapper).optimizer)
    batch = next(iter(build_loader(config, "train", job["batch"], passes=job["batch"])))
    return lambda: model.train_step(dict(batch), wrapper), 1


def evaluate(config: Config, job: dict) -> tuple[Callable, int]:
    """Images from their files through the network to the counts of the metric."""
    model = build_model(config, job)
    loader = build_loader(config, "test", job["batch"])
    metric = METRICS.build({"type": "IoUMetric", "iou_metrics": ["mIoU"]})
    metric.dataset_meta = loader.dataset.metainfo

    @torch.no_grad()
    def action() -> None:
        metric.results.clear()
        for batch in loader:
            metric.process(batch, [sample.to_dict() for sample in model.test_step(batch)])

    return action, len(loader.dataset)


def data(config: Config, job: dict) -> tuple[Callable, int]:
    """Training samples from their files to batches, in the workers of a loader."""
    loader = build_loader(config, "train", job["batch"], job["passes"])
    return lambda: [None for _ in loader], len(loader.sampler)


def map_scene(config: Config, job: dict) -> tuple[Callable, int]:
    """A scene from its file to the finished map."""
    model = build_model(config, job)
    raster = importlib.import_module("mmseg.raster")
    scene, out = Path(job["files"], "images/0.jpg"), Path(job["files"], f"maps of {os.getpid()}")
    options = {"batch_size": job["batch"]} if job["batch"] else {}

    def action() -> None:
        shutil.rmtree(out, ignore_errors=True)
        raster.map_scene(model, scene, out, raster.MapOptions(**options))

    return action, 1


PARTS = {"infer": network, "predict": network, "train": train, "eval": evaluate, "data": data}
PARTS["map"] = map_scene


def peak_mib(device: str) -> float:
    """Return the peak of memory: on a GPU of what torch reserved, else of what was resident."""
    if device != "cpu":
        return torch.cuda.max_memory_reserved(device) / 2**20
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def answers(job: dict, asked: Iterable = sys.stdin) -> Iterator[dict]:
    """Yield an empty answer to the job, then one for each turn that is asked for."""
    init_default_scope("mmseg")
    cv2.setNumThreads(0)
    torch.manual_seed(0)
    config = read_config(job)
    if "kernels" in job:  # code of this project on a GPU, whatever the defaults are
        importlib.import_module("mmseg.ops.triton").enable(True, job["kernels"])
        device = importlib.import_module("mmseg.ops.device")
        device.DEFAULTS["channels_last"] = (job["channels_last"], "")
    if job["check"] and job["part"] != "data":
        check_equal(config, job)
    action, count = PARTS[job["part"]](config, job)
    timer = Timer("action()", globals={"action": action}, num_threads=torch.get_num_threads())
    yield {}
    for _ in asked:
        seconds = timer.blocked_autorange(min_run_time=job["seconds"]).median / count
        yield {"seconds": seconds, "peak_mib": peak_mib(job["device"])}


if __name__ == "__main__":
    logging.disable()
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries print
    try:
        for answer in answers(json.loads(sys.stdin.readline())):
            out.write(json.dumps(answer) + "\n")
    except Exception as error:
        out.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")
