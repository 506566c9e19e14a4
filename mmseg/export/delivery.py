"""Export a model: the file gets its name when engines compute the same as PyTorch."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmseg.errors import UserError
from mmseg.export.facts import KEY, facts, to_text
from mmseg.export.graph import ExportOptions, Graph, traced
from mmseg.export.loading import SUFFIXES
from mmseg.export.precision import halved, quantised
from mmseg.export.session import Session, installed, need
from mmseg.files import cannot_be_written, make_writable, whole_file, write_whole
from mmseg.imagery.bands import is_bgr

SIZES, BATCHES = ((64, 96), (77, 131), (160, 128)), (1, 3)
# The largest difference of scores, as a share of the largest logit, and the share of pixels with
# equal labels. INT8 is judged by the mIoU on real images alone.
BOUNDS = {"fp32": (1e-3, 0.999), "fp16": (0.05, 0.98), "bf16": (0.3, 0.9), "int8": (np.inf, 0.0)}


Check = tuple[str, str, int, float, float]


def export_model(
    model: Any, path: str | Path, max_loss: float = 0.5, as_json: bool = False, **options: Any
) -> tuple[list[Check], tuple[float, float] | None]:
    """Write a model as one verified file: `.onnx`, or `.xml` for OpenVINO with a `.bin` beside it.

    `model` is a plain one of `init_model(..., fused=False)`, and `options` those of
    `ExportOptions`. `as_json` writes the metadata to a `.json` beside the file too. `max_loss` is
    the mIoU in points that INT8 may lose. Returns a row for each engine, size and batch, with the
    largest difference to PyTorch and the share of equal labels, and for INT8 the mIoU in percent
    before and after. Raises `UserError`, and leaves no file, if an engine computes something else
    than PyTorch or a package is missing.
    """
    path, chosen = Path(path), ExportOptions(**options)
    _check(path, chosen)
    make_writable(path.parent)
    if chosen.target is not None:
        chosen = options_for_target(chosen, facts(model, chosen))
    graph, miou = Graph(model, chosen), None
    program = traced(graph)
    if chosen.precision == "fp16":
        program = halved(program)
    elif chosen.precision == "int8":
        program, miou = quantised(program, graph, max_loss)
    told = facts(model, chosen)
    metadata = {KEY: to_text(told)} | (target_metadata(told) if chosen.target else {})
    with ExitStack() as files:
        part = _written(files, path, program, metadata)
        checks = list(verify(part, graph, str(path)))
    if as_json:
        write_whole(path.with_suffix(".json"), to_text(told, indent=2).encode())
    return checks, miou


def _check(path: Path, options: ExportOptions) -> None:
    suffixes = (
        [".onnx"] if options.target else [".xml"] if options.precision == "bf16" else SUFFIXES
    )
    if path.suffix not in suffixes:
        raise UserError(f"{path}: name it {' or '.join(suffixes)} (.xml is for OpenVINO alone)")
    more = {"fp16": ["onnxruntime"], "int8": ["onnxruntime", "nncf"]}.get(options.precision, [])
    need("onnx", "openvino" if path.suffix == ".xml" else "onnxruntime", *more)


def _written(files: ExitStack, path: Path, program: Any, metadata: dict[str, str]) -> Path:
    """Write a file that gets its name when `files` close; return its present name."""
    part = files.enter_context(whole_file(path))
    if path.suffix == ".onnx":
        for key, value in metadata.items():
            program.metadata_props.add(key=key, value=value)
        part.write_bytes(program.SerializeToString())
        return part
    import openvino

    files.enter_context(whole_file(path.with_suffix(".bin")))  # the part that belongs to the .xml
    model = openvino.Core().read_model(program.SerializeToString())
    for key, value in metadata.items():
        model.set_rt_info(value, key)
    try:
        openvino.save_model(model, part, compress_to_fp16=False)
    except RuntimeError as error:
        raise cannot_be_written(path, error) from error
    return part


def options_for_target(options: ExportOptions, told: dict[str, Any]) -> ExportOptions:
    """Return the options of a file that `options.target` reads.

    Deepness, a plugin of QGIS, and GeoDeep cut a scene into square tiles, divide them by 255 and
    take the class of the highest score. Raises `UserError` if they cannot read this model.
    """
    name, size, gsd = options.target, told["window"], told["gsd"]
    if size is None or size[0] != size[1]:
        raise UserError(f"--for {name} takes square tiles: give --size S S")
    if gsd is None:
        raise UserError(f"--for {name} resamples scenes: give --gsd, the metres per pixel")
    if not is_bgr(told["bands"], told["bits"]):
        raise UserError(f"--for {name} reads 8-bit images of red, green and blue alone")
    fixed: dict[str, Any] = {"output": "probabilities", "input": "unit", "batch": 1}
    return replace(options, size=tuple(size), gsd=gsd, **fixed)


def target_metadata(told: dict[str, Any]) -> dict[str, str]:
    """Return the metadata that a target reads, each value as JSON; `told` are the file's facts.

    Deepness normalises tiles by it, which is nothing here. Both programs merge classes in patches
    smaller than `seg_small_segment`, and set scores below `seg_thresh` to 0; 0 turns that off.
    """
    values: dict[str, Any] = {
        "model_type": "Segmentor",
        "class_names": {str(i): name for i, name in enumerate(told["classes"])},
        "standardization_mean": [0.0, 0.0, 0.0],
        "standardization_std": [1.0, 1.0, 1.0],
        "resolution": round(100 * told["gsd"], 6),  # cm
        "tile_size": told["window"][0],
        "tiles_overlap": round(100 * told["overlap"]),  # percent
        "seg_thresh": 0,
        "seg_small_segment": 0,
    }
    return {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}


@torch.no_grad()
def verify(path: Path, graph: Graph, name: str) -> Iterator[Check]:
    """Yield the checks of a file; `UserError` for one that is out of bounds.

    The images are drawn, at three sizes, one of them odd, and in batches of 1 and 3. `name` is the
    name that the file is going to have.
    """
    options = graph.options
    most, least = BOUNDS[options.precision]
    sizes = SIZES if options.size is None else [tuple(options.size)]
    batches = BATCHES if options.batch is None else [options.batch]
    for engine in installed(path.suffix == ".xml"):
        run = Session(path, engine, options.precision == "bf16")
        for size, batch in product(sizes, batches):
            x = graph.example(batch, size)
            result = run(x)
            if not torch.equal(result, run(x)):
                raise UserError(f"{name}: {engine} gives other bits for the same image again")
            gap, equal = _compared(result, x, graph)
            place = f"{size[0]}x{size[1]}"
            if not (gap <= most and equal >= least):
                raise UserError(
                    f"{name}: not written, because {engine} differs from PyTorch by {gap:.2g} of "
                    f"the largest logit, and {equal:.2%} of the labels are equal ({place}, batch "
                    f"{batch}); allowed are {most:g} and {least:.2%}"
                )
            yield engine, place, batch, gap, equal


def _compared(result: Tensor, x: Tensor, graph: Graph) -> tuple[float, float]:
    """Return the largest difference and the share of equal labels.

    A class differs by how much its logit lies below the highest one.
    """
    kind = graph.options.output
    expected = graph(x) if kind == "coarse" else graph.logits(x)
    best, labels = expected.max(1)
    ids = result.long() if kind == "classes" else result.argmax(1)
    gap, scale = best - expected.gather(1, ids[:, None])[:, 0], expected.abs().max()
    if kind == "probabilities":
        gap, scale = result - expected.softmax(1), torch.tensor(1.0)
    elif kind != "classes":
        gap = result - expected
    return (gap.abs().max() / scale).item(), (ids == labels).double().mean().item()
