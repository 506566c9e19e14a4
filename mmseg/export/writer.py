"""Write a trained model as one file for other programs."""

import copy
import io
import warnings
from pathlib import Path
from typing import Any

import torch

from mmseg.export.facts import KEY, facts, to_text
from mmseg.export.graph import Graph
from mmseg.export.options import ExportOptions
from mmseg.files import write_whole
from mmseg.inference import fuse


def to_onnx(model: Any, path: str | Path, **options: Any) -> None:
    """Write a model as ONNX; `options` are those of `ExportOptions`.

    `model` is a plain one of `init_model(..., fused=False)`. The file has one input, named as
    `options.input`, and one output, named as `options.output`. Its metadata is JSON under
    `segnext`.
    """
    chosen = ExportOptions(**options)
    plain = copy.deepcopy(model).cpu()
    plain.test_cfg["amp"] = False
    program = traced(Graph(fuse(plain), chosen).eval())
    program.metadata_props.add(key=KEY, value=to_text(facts(model, chosen)))
    write_whole(path, program.SerializeToString())


@torch.no_grad()
def traced(graph: Graph) -> Any:
    """Return the program of a graph, with free batch, height and width if they are not fixed."""
    import onnx  # of the extra `deploy`

    options = graph.options
    batch = {0: "batch"} if options.batch is None else {}

    def axes(first: int, names: tuple[str, str]) -> dict[int, str]:
        return batch | (dict(enumerate(names, first)) if options.size is None else {})

    channels_last = (options.input, options.layout) == ("image", "nhwc")
    size = ("height", "width")
    free = {
        options.input: axes(1 if channels_last else 2, size),
        options.output: axes(
            1 if options.output == "classes" else 2,
            ("rows", "columns") if options.output == "coarse" else size,
        ),
    }
    data = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns of each comparison of sizes
        torch.onnx.export(
            graph,
            (graph.example(),),
            data,
            dynamo=False,  # the newer exporter takes 15 times as long with free sizes
            opset_version=options.opset,
            input_names=[options.input],
            output_names=[options.output],
            dynamic_axes=free,
        )
    program = onnx.load_from_string(data.getvalue())
    shape = program.graph.output[0].type.tensor_type.shape.dim
    for axis, length in enumerate(graph(graph.example()).shape):
        if axis not in free[options.output]:
            shape[axis].dim_value = length  # the exporter does not see that it is fixed
    return program
