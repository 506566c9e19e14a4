"""What an exported file computes: from images to classes, with the network in between."""

import copy
import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.config.parts import parts_of
from mmseg.export.options import ExportOptions
from mmseg.inference import fuse

RGB = ("red", "green", "blue")
SAMPLES = {"uint8": torch.uint8, "uint16": torch.uint16, "float32": torch.float32}
OPSET, IR = 17, 8  # the first opset with layer normalisation, and the IR that goes with it


def bands_of(model: Any) -> tuple[str, ...]:
    """Return the names of a model's bands in the order of its images."""
    return tuple(model.dataset_meta.get("bands") or RGB)


def resize_rule(model: Any) -> dict[str, Any]:
    """Return how a model's test pipeline changes the size of images.

    `scale` (width, height) and `keep_ratio` are those of its Resize step, which an exported file
    leaves to its caller. `stretch` and `pad` are the multiples that the sides are brought to.
    """
    config = getattr(model, "cfg", None)
    steps = parts_of(config.test_dataloader.dataset)[0]["pipeline"] if config else []
    by_type: dict[str, Mapping] = {step["type"]: step for step in steps}
    resize, stretch = by_type.get("Resize", {}), by_type.get("ResizeToMultiple")
    return {
        "scale": resize.get("scale"),
        "keep_ratio": resize.get("keep_ratio", False),
        "stretch": 1 if stretch is None else stretch.get("size_divisor", 32),
        "pad": model.data_preprocessor.test_divisor,
    }


class Graph(nn.Module):
    """A fused copy of a segmentor, on the CPU, from the input to the output of `options`.

    `model` is a plain one of `init_model(..., fused=False)`.
    """

    def __init__(self, model: Any, options: ExportOptions) -> None:
        super().__init__()
        plain = copy.deepcopy(model).cpu()
        plain.test_cfg["amp"] = False
        self.model: Any = fuse(plain)
        self.options, self.rule = options, resize_rule(model)
        # Three bands lie in memory as blue, green, red; others lie in their own order.
        self.flips = (bands_of(model) == RGB) != model.data_preprocessor.bgr_to_rgb
        self.eval()

    def example(self, batch: int = 1, size: Sequence[int] = (64, 64)) -> Tensor:
        """Return an input for drawn images: patches of random colours, with noise."""
        options, preprocessor = self.options, self.model.data_preprocessor
        batch, size = options.batch or batch, tuple(options.size or size)
        random = torch.Generator().manual_seed(0)
        shape = (batch, len(preprocessor.mean))
        patches = torch.randn(*shape, 8, 8, generator=random)
        x = F.interpolate(patches, size) + 0.2 * torch.randn(*shape, *size, generator=random)
        image = preprocessor.mean + preprocessor.std * x
        if (bits := self.model.dataset_meta.get("bits", "uint8")) != "float32":
            image = image.round().clamp(0, 2 ** (8 if bits == "uint8" else 16) - 1)
        return self.input_of(image.flip(1) if self.flips else image)

    def input_of(self, images: Tensor) -> Tensor:
        """Return the input for images (B, C, H, W) in the order of the bands."""
        if self.options.input == "unit":
            return images.float() / 255
        if self.options.input == "tensor":
            return self._normalised(images.float())
        images = images.to(SAMPLES[self.model.dataset_meta.get("bits", "uint8")])
        return images.permute(0, 2, 3, 1) if self.options.layout == "nhwc" else images

    def forward(self, x: Tensor) -> Tensor:
        """Return the output for an input."""
        if self.options.output == "coarse":
            return self.model.logits(x)
        logits = self.logits(x)
        if self.options.output == "logits":
            return logits
        if self.options.output == "probabilities":
            return logits.softmax(1)
        return logits.argmax(1).to(torch.uint8)

    def logits(self, x: Tensor) -> Tensor:
        """Return logits (B, K, H, W) at the size of an input."""
        options, rule, resize = self.options, self.rule, self.model.decode_head.resize
        if options.input == "image" and options.layout == "nhwc":
            x = x.permute(0, 3, 1, 2)
        x = x.float() * 255 if options.input == "unit" else x.float()
        size = tuple(options.size or x.shape[2:])
        stretched = _up_to(size, rule["stretch"])
        if rule["stretch"] > 1:
            x = F.interpolate(x, stretched, mode="bilinear")
        if options.input != "tensor":
            x = self._normalised(x)
        padded = _up_to(stretched, rule["pad"])
        if rule["pad"] > 1:
            x = F.pad(x, (0, padded[1] - stretched[1], 0, padded[0] - stretched[0]))
        logits = resize(self.model.logits(x), padded)[:, :, : stretched[0], : stretched[1]]
        return resize(logits, size) if rule["stretch"] > 1 else logits

    def _normalised(self, x: Tensor) -> Tensor:
        preprocessor = self.model.data_preprocessor
        x = x.flip(1) if self.flips else x
        return (x - preprocessor.mean) / preprocessor.std


def _up_to(size: tuple, multiple: int) -> tuple:
    # Of whole numbers and, in a trace, of tensors.
    return tuple((side + multiple - 1) // multiple * multiple for side in size)


@torch.no_grad()
def traced(graph: Graph) -> Any:
    """Return the ONNX program of a graph; batch, height and width are free if not fixed."""
    import onnx  # of the extra `deploy`

    options, example = graph.options, graph.example()
    size = {"H": "height", "W": "width", "h": "rows", "w": "columns"}
    names = ({} if options.batch else {"N": "batch"}) | ({} if options.size else size)
    layout = options.layout.upper() if options.input == "image" else "NCHW"
    shapes = {options.input: layout}
    shapes[options.output] = {"classes": "NHW", "coarse": "NChw"}.get(options.output, "NCHW")
    free = {
        key: {axis: names[letter] for axis, letter in enumerate(shape) if letter in names}
        for key, shape in shapes.items()
    }
    data: Any = io.BytesIO()
    is_16_bit = example.dtype == torch.uint16
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns of each comparison of sizes
        torch.onnx.export(
            graph,
            (example.int() if is_16_bit else example,),  # the exporter knows no uint16
            data,
            dynamo=False,  # the newer exporter takes 15 times as long with free sizes
            opset_version=OPSET,
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
    program.ir_version = IR
    return program
