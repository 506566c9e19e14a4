"""Export a model: the file gets its name when engines compute the same as PyTorch."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from mmseg.errors import UserError
from mmseg.export.facts import KEY, facts, to_text
from mmseg.export.graph import Graph, traced
from mmseg.export.options import ExportOptions
from mmseg.export.precision import halved, quantised
from mmseg.export.session import need
from mmseg.export.targets import options_for_target, target_metadata
from mmseg.export.verify import Check, verify
from mmseg.files import cannot_be_written, make_writable, whole_file, write_whole


class Report(NamedTuple):
    """The result of an export: its checks, and for INT8 the mIoU before and after, in percent."""

    checks: list[Check]
    miou: tuple[float, float] | None


def export_model(
    model: Any, path: str | Path, max_loss: float = 0.5, as_json: bool = False, **options: Any
) -> Report:
    """Write a model as one verified file: `.onnx`, or `.xml` for OpenVINO with a `.bin` beside it.

    `model` is a plain one of `init_model(..., fused=False)`, and `options` those of
    `ExportOptions`. `as_json` writes the metadata to a `.json` beside the file too. `max_loss` is
    the mIoU in points that INT8 may lose. Raises `UserError`, and leaves no file, if an engine
    computes something else than PyTorch or a package is missing.
    """
    path, chosen = Path(path), ExportOptions(**options)
    _check(path, chosen)
    make_writable(path.parent)
    if chosen.target is not None:
        chosen = options_for_target(model, chosen)
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
    return Report(checks, miou)


def _check(path: Path, options: ExportOptions) -> None:
    if path.suffix not in (".onnx", ".xml"):
        raise UserError(f"{path}: name it .onnx, or .xml for OpenVINO")
    if options.target is not None and path.suffix != ".onnx":
        raise UserError(f"{path}: {options.target} reads ONNX; name it .onnx")
    if options.precision == "bf16" and path.suffix != ".xml":
        raise UserError(f"{path}: bf16 is a mode of OpenVINO; name it .xml")
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
