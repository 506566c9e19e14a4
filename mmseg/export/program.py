"""ONNX programs, traced from a network."""

import io
import warnings
from typing import Any

import torch

from mmseg.export.graph import Graph


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
    data: Any = io.BytesIO()
    example = graph.example()
    is_16_bit = example.dtype == torch.uint16
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns of each comparison of sizes
        torch.onnx.export(
            graph,
            (example.int() if is_16_bit else example,),  # the exporter knows no uint16
            data,
            dynamo=False,  # the newer exporter takes 15 times as long with free sizes
            opset_version=options.opset,
            input_names=[options.input],
            output_names=[options.output],
            dynamic_axes=free,
        )
    program = onnx.load_from_string(data.getvalue())
    if is_16_bit:
        program.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT16
    shape = program.graph.output[0].type.tensor_type.shape.dim
    for axis, length in enumerate(graph(example).shape):
        if axis not in free[options.output]:
            shape[axis].dim_value = length  # the exporter does not see that it is fixed
    program.ir_version = min(program.ir_version, 8)
    return program
