"""The choices a user has when exporting a model."""

from collections.abc import Sequence
from dataclasses import dataclass

from mmseg.errors import UserError

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
