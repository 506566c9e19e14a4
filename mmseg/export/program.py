"""ONNX programs: traced from a network, with weights as plain constants."""

import io
import warnings
from collections.abc import Iterable
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
    _compute_weights(program)
    program.ir_version = min(program.ir_version, 8)
    return program


def _compute_weights(program: Any) -> None:
    """Let each convolution have its weight as a constant.

    The decoder splits one weight into those of its levels. Engines do not prepare a weight that
    they have to compute, and NNCF does not quantise it.
    """
    from onnx import helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    graph = program.graph
    stored = {each.name for each in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv" and node.input[1] not in stored:
            name = node.input[1]
            output = helper.make_tensor_value_info(name, helper.TensorProto.FLOAT, None)
            steps, used = _needed(graph.node, [name])
            weights = [each for each in graph.initializer if each.name in used]
            part = helper.make_graph(steps, "weight", [], [output], weights)
            model = helper.make_model(part, opset_imports=program.opset_import)
            result: Any = ReferenceEvaluator(model).run(None, {})
            node.input[1] = f"{name}.computed"
            graph.initializer.append(numpy_helper.from_array(result[0], node.input[1]))
    nodes, used = _needed(graph.node, [each.name for each in graph.output])
    weights = [each for each in graph.initializer if each.name in used]
    for field, kept in ((graph.node, nodes), (graph.initializer, weights)):
        del field[:]
        field.extend(kept)


def _needed(nodes: Iterable, names: Iterable[str]) -> tuple[list, set[str]]:
    """Return the nodes that compute the named values, and the names of all values they use."""
    kept: list = []
    used = set(names)
    for node in reversed(list(nodes)):
        if not used.isdisjoint(node.output):
            kept.insert(0, node)
            used.update(node.input)
    return kept, used
