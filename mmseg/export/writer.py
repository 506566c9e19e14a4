"""Write a network for an inference engine."""

import copy
from pathlib import Path
from typing import Any

from mmseg.export.facts import KEY, facts, to_text
from mmseg.export.graph import Graph
from mmseg.export.options import ExportOptions
from mmseg.export.program import traced
from mmseg.files import write_whole
from mmseg.inference import fuse


def to_onnx(model: Any, path: str | Path, **options: Any) -> None:
    """Write a model as ONNX; `options` are those of `ExportOptions`.

    `model` is a plain one of `init_model(..., fused=False)`. The file has one input, named as
    `options.input`, and one output, named as `options.output`. Its metadata is JSON under the key
    `segnext`. The file is not compared with the model; `export_model` does so.
    """
    chosen = ExportOptions(**options)
    program = traced(graph_of(model, chosen))
    program.metadata_props.add(key=KEY, value=to_text(facts(model, chosen)))
    write_whole(path, program.SerializeToString())


def graph_of(model: Any, options: ExportOptions) -> Graph:
    """Return a fused copy of a model on the CPU, in float32, as the graph to trace."""
    plain = copy.deepcopy(model).cpu()
    plain.test_cfg["amp"] = False
    return Graph(fuse(plain), options).eval()
