"""Programs of lower precision; the factorisation of the decoder stays in float32."""

import logging
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import ConcatDataset

from mmseg.config.parts import parts_of
from mmseg.datasets import build_dataset
from mmseg.errors import UserError
from mmseg.evaluation.confusion import confusion_matrix, scores
from mmseg.export.graph import Graph

# Nodes have the names of their modules: the factorisation, and the products with its factors.
FACTORISATION = r"/hamburger/(ham/|MatMul)"
# Sums over many values, and operations that half precision does not make faster.
IN_FLOAT = ("LayerNormalization", "InstanceNormalization", "Resize", "Softmax", "ArgMax", "Cast")
CALIBRATION = 300  # images, as many as NNCF takes by default


def halved(program: Any) -> Any:
    """Return a program that computes in float16, but not the factorisation and the norms."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    kept = [node.name for node in program.graph.node if re.search(FACTORISATION, node.name)]
    return convert_float_to_float16(
        program, keep_io_types=True, op_block_list=IN_FLOAT, node_block_list=kept
    )


def quantised(program: Any, graph: Graph, max_loss: float) -> tuple[Any, tuple[float, float]]:
    """Return a program in INT8, and the mIoU of both on the validation set, in percent.

    NNCF calibrates with images of the config's training set. Raises `UserError` if more than
    `max_loss` points are lost.
    """
    import nncf
    import onnx

    nncf.set_log_level(logging.ERROR)
    program = onnx.shape_inference.infer_shapes(program, data_prop=True)
    images = [x for x, _ in _samples(graph, "train", CALIBRATION)]
    name = graph.options.input
    result = nncf.quantize(
        program,
        nncf.Dataset(images, lambda x: {name: x.numpy()}),
        subset_size=len(images),
        preset=nncf.QuantizationPreset.MIXED,  # GELU is not symmetric
        ignored_scope=nncf.IgnoredScope(patterns=[f".*{FACTORISATION}.*"], validate=False),
    )
    before, after = _miou(program, graph), _miou(result, graph)
    if not before - after <= max_loss:
        raise UserError(
            f"int8 has mIoU {after:.2f} on the validation set, and float32 {before:.2f}: more than "
            f"{max_loss:g} points are lost; use another precision, or allow more with --max-loss"
        )
    return result, (before, after)


def _samples(graph: Graph, split: str, most: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield an input and the labels (h, w) of images, which the test pipeline reads."""
    config, options = graph.model.cfg, graph.options
    if not (loader := config.get(f"{split}_dataloader")):
        raise UserError(f"int8 needs {split}_dataloader in the config, to read its images")
    how = {"pipeline": parts_of(config.test_dataloader.dataset)[0]["pipeline"], "test_mode": True}
    parts = parts_of(loader["dataset"])
    data: Any = ConcatDataset([build_dataset({**part, **how}) for part in parts])
    for i in range(0, len(data), max(1, len(data) // most) if most else 1):
        sample = data[i]
        image = sample["inputs"][None]
        if options.size is not None and image.shape[2:] != torch.Size(options.size):
            image = F.interpolate(image.float(), tuple(options.size), mode="bilinear").round()
        image = image.flip(1) if graph.is_bgr else image
        x = graph.input_of(image).contiguous()
        yield x.repeat(options.batch or 1, 1, 1, 1), sample["data_samples"].gt_sem_seg.data[0]


def _miou(program: Any, graph: Graph) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(program.SerializeToString())
    number = len(graph.model.dataset_meta["classes"])
    counts = np.zeros((number, number), np.int64)
    for x, labels in _samples(graph, "val"):
        result = torch.from_numpy(session.run(None, {graph.options.input: x.numpy()})[0][:1])
        ids = result if graph.options.output == "classes" else result.argmax(1).to(torch.uint8)
        ids = F.interpolate(ids[None], tuple(labels.shape), mode="nearest")[0, 0]
        counts += confusion_matrix(ids, labels.to(torch.uint8), number).numpy()
    return float(scores(counts)["mIoU"])
