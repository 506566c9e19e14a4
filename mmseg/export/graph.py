"""What an exported file computes: from images to classes, with the network in between."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.config.parts import parts_of
from mmseg.export.options import ExportOptions

RGB = ("red", "green", "blue")
SAMPLES = {"uint8": torch.uint8, "uint16": torch.uint16, "float32": torch.float32}


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
    by_type = {step["type"]: step for step in steps}
    resize: Mapping = by_type.get("Resize", {})
    stretch: Mapping | None = by_type.get("ResizeToMultiple")
    return {
        "scale": resize.get("scale"),
        "keep_ratio": resize.get("keep_ratio", False),
        "stretch": 1 if stretch is None else stretch.get("size_divisor", 32),
        "pad": model.data_preprocessor.test_divisor,
    }


class Graph(nn.Module):
    """A segmentor from the input to the output that `options` names, to be traced."""

    def __init__(self, model: Any, options: ExportOptions) -> None:
        super().__init__()
        self.model = model
        self.options = options
        self.rule = resize_rule(model)
        preprocessor = model.data_preprocessor
        # Three bands lie in memory as blue, green, red; others lie in their own order.
        self.flips = (bands_of(model) == RGB) != preprocessor.bgr_to_rgb

    def example(self, batch: int = 1, size: Sequence[int] = (64, 64), seed: int = 0) -> Tensor:
        """Return an input for drawn images: patches of random colours, with noise."""
        options, preprocessor = self.options, self.model.data_preprocessor
        batch, size = options.batch or batch, tuple(options.size or size)
        random = torch.Generator().manual_seed(seed)
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
        """Return the output for images or tensors."""
        options, rule, head = self.options, self.rule, self.model.decode_head
        if options.output == "coarse":
            return self.network(x)
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
        logits = head.resize(self.network(x), padded)
        if rule["pad"] > 1:
            logits = logits[:, :, : stretched[0], : stretched[1]]
        if rule["stretch"] > 1:
            logits = head.resize(logits, size)
        if options.output == "logits":
            return logits
        if options.output == "probabilities":
            return logits.softmax(1)
        return logits.argmax(1).to(torch.uint8)

    def network(self, x: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) -> logits (B, K, H/8, W/8), divided by the temperature."""
        logits = self.model.decode_head(self.model.extract_feat(x)).float()
        return logits if self.model.temperature == 1 else logits / self.model.temperature

    def _normalised(self, x: Tensor) -> Tensor:
        preprocessor = self.model.data_preprocessor
        x = x.flip(1) if self.flips else x
        return (x - preprocessor.mean) / preprocessor.std


def _up_to(size: tuple, multiple: int) -> tuple:
    # Of whole numbers and, in a trace, of tensors.
    return tuple((side + multiple - 1) // multiple * multiple for side in size)
