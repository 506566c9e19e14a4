"""What an exported file computes: from images to classes, with the network in between."""

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.config.parts import parts_of
from mmseg.errors import UserError
from mmseg.imagery.bands import RGB, is_bgr
from mmseg.inference import around_same_weights, fuse

SAMPLES = {"uint8": torch.uint8, "uint16": torch.uint16, "float32": torch.float32}
OPSET, IR = 17, 8  # the first opset with layer normalisation, and the IR that goes with it

CHOICES: dict[str, tuple] = {
    "output": ("classes", "probabilities", "logits", "coarse"),
    "input": ("image", "tensor", "unit"),
    "layout": ("nhwc", "nchw"),
    "precision": ("fp32", "fp16", "bf16", "int8"),
    "target": (None, "deepness", "geodeep"),
}


@dataclass(frozen=True)
class ExportOptions:
    """How the exported file reads images, and which results it gives.

    The tools do not offer the output `coarse`, the head's logits at 1/8 of a `tensor` whose sides
    are left as they are, and the input `unit`, an `image` divided by 255, float32 (B, C, H, W).
    Raises `UserError` for a value that is not known.

    Args:
        output: `classes`, uint8 ids (B, H, W); `probabilities` or `logits`, float32 (B, K, H, W).
        input: `image`, samples of the sensor in the order of the bands; `tensor`, normalised
            float32 (B, C, H, W) in the order of the network.
        layout: Of an `image`: `nhwc` or `nchw`.
        size: Height and width if they are fixed.
        batch: Number of images if it is fixed.
        precision: `fp32`; `fp16` weights and convolutions; `bf16`, by OpenVINO; `int8`, by NNCF.
        gsd: Metres per pixel, if the model does not know it.
        target: The program to write for, `deepness` or `geodeep`.
    """

    output: str = "classes"
    input: str = "image"
    layout: str = "nhwc"
    size: Sequence[int] | None = None
    batch: int | None = None
    precision: str = "fp32"
    gsd: float | None = None
    target: str | None = None

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if (value := getattr(self, name)) not in known:
                raise UserError(f"{name}={value!r}: choose one of {', '.join(map(str, known))}")
        if self.output == "coarse" and self.input != "tensor":
            raise UserError("output='coarse' is of the network alone: it needs input='tensor'")
        for name, least in (("size", 32), ("batch", 1), ("gsd", 1e-6)):
            value = getattr(self, name)
            if value is not None and not least <= min(value if name == "size" else [value]) < 1e6:
                raise UserError(f"{name}={value}: give at least {least:g} and less than 1,000,000")


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
    resize = by_type.get("Resize", {})
    return {
        "scale": resize.get("scale"),
        "keep_ratio": resize.get("keep_ratio", False),
        "stretch": by_type.get("ResizeToMultiple", {"size_divisor": 1}).get("size_divisor", 32),
        "pad": model.data_preprocessor.test_divisor,
    }


class Graph(nn.Module):
    """A fused copy of a segmentor, on the CPU, from the input to the output of `options`.

    `model` is a plain one of `init_model(..., fused=False)`.
    """

    def __init__(self, model: Any, options: ExportOptions) -> None:
        super().__init__()
        plain = around_same_weights(model).cpu()
        plain.test_cfg["amp"] = False
        self.model: Any = fuse(plain)
        self.options, self.rule = options, resize_rule(model)
        bits = model.dataset_meta.get("bits", "uint8")
        self.kind, self.is_bgr = SAMPLES[bits], is_bgr(bands_of(model), bits)
        self.flips = self.is_bgr != model.data_preprocessor.bgr_to_rgb
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
        if self.kind != torch.float32:
            image = image.round().clamp(0, torch.iinfo(self.kind).max)
        return self.input_of(image.flip(1) if self.flips else image)

    def input_of(self, images: Tensor) -> Tensor:
        """Return the input for images (B, C, H, W) in the order of the bands."""
        if self.options.input == "unit":
            return images.float() / 255
        if self.options.input == "tensor":
            return self._normalised(images.float())
        images = images.to(self.kind)
        return images.permute(0, 2, 3, 1) if self.options.layout == "nhwc" else images

    def forward(self, x: Tensor) -> Tensor:
        """Return the output for an input."""
        if self.options.output == "coarse":
            return self.model.logits(x)
        logits = self.logits(x)
        if self.options.output == "classes":
            return logits.argmax(1).to(torch.uint8)
        return logits.softmax(1) if self.options.output == "probabilities" else logits

    def logits(self, x: Tensor) -> Tensor:
        """Return logits (B, K, H, W) at the size of an input."""
        options, rule, resize = self.options, self.rule, self.model.decode_head.resize
        if (options.input, options.layout) == ("image", "nhwc"):
            x = x.permute(0, 3, 1, 2)
        x = x.float() * 255 if options.input == "unit" else x.float()
        size = tuple(options.size or x.shape[2:])
        stretched = _up_to(size, rule["stretch"])
        padded = _up_to(stretched, rule["pad"])
        if rule["stretch"] > 1:
            x = F.interpolate(x, stretched, mode="bilinear")
        if options.input != "tensor":
            x = self._normalised(x)
        if rule["pad"] > 1:
            x = F.pad(x, (0, padded[1] - stretched[1], 0, padded[0] - stretched[0]))
        logits = resize(self.model.logits(x), padded)
        if rule["pad"] > 1:  # an engine would copy all scores to cut nothing off
            logits = logits[:, :, : stretched[0], : stretched[1]]
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
