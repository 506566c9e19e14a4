"""The choices a user has when exporting a model."""

from collections.abc import Sequence
from dataclasses import dataclass

from mmseg.errors import UserError

CHOICES: dict[str, tuple] = {
    "output": ("classes", "probabilities", "logits", "coarse"),
    "input": ("image", "tensor", "unit"),
    "layout": ("nhwc", "nchw"),
    "precision": ("fp32", "fp16", "bf16", "int8"),
    # torch's exporter writes these; 17 is the first with layer normalisation.
    "opset": (17, 18, 19, 20),
    "target": (None, "deepness", "geodeep"),
}


@dataclass(frozen=True)
class ExportOptions:
    """How the exported file reads images, and which results it gives.

    Args:
        output: `classes`, uint8 ids (B, H, W); `probabilities` or `logits`, float32 (B, K, H, W);
            `coarse`, the head's logits at 1/8 of a `tensor` whose sides are left as they are.
        input: `image`, samples of the sensor in the order of the bands (red, green, blue);
            `unit`, the same divided by 255, float32 (B, C, H, W); `tensor`, normalised float32
            (B, C, H, W) in the order of the network.
        layout: Of an `image`: `nhwc` or `nchw`.
        size: Height and width if they are fixed.
        batch: Number of images if it is fixed.
        precision: `fp32`; `fp16` weights and convolutions; `bf16`, which OpenVINO computes in;
            `int8`, by NNCF.
        opset: Version of ONNX's operations.
        gsd: Metres per pixel, if the model does not know it.
        target: The program to write for, `deepness` or `geodeep`.

    Raises `UserError` for a value that is none of these.
    """

    output: str = "classes"
    input: str = "image"
    layout: str = "nhwc"
    size: Sequence[int] | None = None
    batch: int | None = None
    precision: str = "fp32"
    opset: int = 17
    gsd: float | None = None
    target: str | None = None

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if (value := getattr(self, name)) not in known:
                raise UserError(f"{name}={value!r}: choose one of {', '.join(map(str, known))}")
        if self.output == "coarse" and self.input != "tensor":
            raise UserError("output='coarse' is of the network alone: it needs input='tensor'")
        if self.size is not None and min(self.size) < 32:
            raise UserError(f"size={tuple(self.size)}: give at least 32 pixels each")
        if self.batch is not None and self.batch < 1:
            raise UserError(f"batch={self.batch}: give 1 or more")
        if self.gsd is not None and not 0 < self.gsd < float("inf"):
            raise UserError(f"gsd={self.gsd}: give the metres that a pixel covers")
