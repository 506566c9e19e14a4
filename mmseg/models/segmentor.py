"""EncoderDecoder: backbone and decode head as one model that mmengine's runner trains and tests."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from itertools import product
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.model import BaseModel
from mmengine.structures import PixelData
from torch import Tensor, nn

from mmseg.errors import NonFiniteLoss, UserError
from mmseg.ops.class_map import Frame, class_map, to_original
from mmseg.ops.device import arranged, half_dtype
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

WHOLE = {"mode": "whole"}


@MODELS.register_module()
class EncoderDecoder(BaseModel):
    """A semantic segmentor: a backbone and a decode head.

    `auxiliary_head` is one more head or a list of them, whose losses are added in training.
    `test_cfg` is `dict(mode='whole')` or `dict(mode='slide', crop_size=(h, w), stride=(h, w))`. In
    both, `amp=True` lets the network predict in half precision. Call `mmseg.inference.fuse` for a
    copy that predicts faster.

    A head without `in_channels` gets the widths of its maps from a backbone with timm's
    `feature_info`. Without `in_index` its maps are those at 1/8, 1/16 and 1/32.
    """

    def __init__(
        self,
        backbone: dict,
        decode_head: dict,
        auxiliary_head: dict | Sequence[dict] | None = None,
        data_preprocessor: dict | None = None,
        test_cfg: Mapping | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor and MODELS.build(data_preprocessor), init_cfg)
        self.backbone = MODELS.build(backbone)
        self.decode_head = MODELS.build(_fitted(decode_head, self.backbone))
        if isinstance(auxiliary_head, Mapping):
            self.auxiliary_head = MODELS.build(auxiliary_head)
        elif auxiliary_head:
            self.auxiliary_head = nn.ModuleList(MODELS.build(head) for head in auxiliary_head)
        self.test_cfg = dict(test_cfg or WHOLE)
        self.temperature = 1.0  # set by the loader of a calibrated checkpoint
        _check_test_cfg(self.test_cfg)

    def forward(
        self, inputs: Any, data_samples: Any = None, mode: str = "tensor"
    ) -> Tensor | dict[str, Tensor] | Sequence[SegDataSample]:
        """Run in one of mmengine's modes.

        'loss': inputs (B, 3, H, W) -> named losses. 'predict': a sequence of (3, H, W) images ->
        the samples with `pred_sem_seg`. 'tensor': inputs (B, 3, H, W) -> the head's logits
        (B, K, H/8, W/8).
        """
        if mode == "tensor":
            return self.logits(inputs)
        if mode not in ("loss", "predict"):
            raise UserError(f"mode={mode!r}: use 'loss', 'predict' or 'tensor'")
        if data_samples is None:
            raise UserError(f"mode={mode!r} needs data_samples, one for each image")
        return (self.loss if mode == "loss" else self.predict)(inputs, data_samples)

    def extract_feat(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> the backbone's maps."""
        return self.backbone(arranged(x))

    def training_logits(self, x: Tensor) -> list[Any]:
        """(B, 3, H, W) -> the logits of each head: the part of `loss` that can be compiled."""
        maps = self.extract_feat(x)
        return [head(maps) for head in self._heads().values()]

    def _heads(self) -> dict[str, Any]:
        """Return the heads by the names that their losses start with."""
        more = getattr(self, "auxiliary_head", None)
        if isinstance(more, nn.ModuleList):
            return {"decode": self.decode_head, **{f"aux_{i}": h for i, h in enumerate(more)}}
        return {"decode": self.decode_head} | ({"aux": more} if more is not None else {})

    def loss(self, inputs: Tensor, data_samples: Sequence[SegDataSample]) -> dict[str, Tensor]:
        """Compute the losses of the heads; names start with `decode.`, `aux.` or `aux_0.`."""
        losses: dict[str, Tensor] = {}
        for (name, head), logits in zip(
            self._heads().items(), self.training_logits(inputs), strict=True
        ):
            found = head.loss_by_feat(logits, data_samples)
            losses |= {f"{name}.{key}": value for key, value in found.items()}
        return losses

    def parse_losses(self, losses: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum the losses; the values to log are on the CPU.

        If the sum is NaN or infinite in one process, every process raises `NonFiniteLoss` before
        the step.
        """
        loss, log_vars = super().parse_losses(losses)
        finite = loss.detach().isfinite().to(loss.dtype)
        all_reduce(finite, "min")
        # One copy for all, because each copy waits for the GPU. A copy after the step would wait
        # for the step, and the GPU would then idle until the next batch is prepared.
        finite, *values = torch.stack([finite, *log_vars.values()]).detach().cpu()
        log_vars = dict(zip(log_vars, values, strict=True))
        if not finite:
            raise NonFiniteLoss({name: float(value) for name, value in log_vars.items()})
        return loss, log_vars

    def predict(
        self, inputs: Sequence[Tensor], data_samples: Sequence[SegDataSample]
    ) -> Sequence[SegDataSample]:
        """Add `pred_sem_seg`, (1, H, W) uint8 at the original size, to each sample.

        With `test_cfg.with_logits` also add `seg_logits`, (K, H, W) float32.
        """
        logits = self._logits_of_each(inputs)
        for image, sample, own in zip(inputs, data_samples, logits, strict=True):
            frame = self._frame(image, sample)
            sample.pred_sem_seg = PixelData(data=class_map(own, frame)[None])
            if self.test_cfg.get("with_logits"):
                sample.seg_logits = PixelData(data=to_original(own, frame)[0])
        return data_samples

    def postprocess_result(
        self, seg_logits: Tensor, data_samples: Sequence[SegDataSample]
    ) -> Sequence[SegDataSample]:
        """Add `pred_sem_seg` and `seg_logits` at the original sizes from logits (B, K, H, W).

        A segmentor for MMSegmentation with a `predict` of its own calls it. H and W are those of
        the padded images; the padding is (left, right, top, bottom). Raises `UserError` if K is 1.
        """
        if seg_logits.shape[1] == 1:
            raise UserError("postprocess_result: one channel; give logits of two classes, 0 and z")
        for sample, own in zip(data_samples, seg_logits.split(1), strict=True):
            meta, (height, width) = sample.metainfo, own.shape[2:]
            padding = meta.get("img_padding_size", meta.get("padding_size", (0, 0, 0, 0)))
            own = own[..., padding[2] : height - padding[3], padding[0] : width - padding[1]]
            frame = self._frame(own[0], sample)
            sample.pred_sem_seg = PixelData(data=class_map(own, frame)[None])
            sample.seg_logits = PixelData(data=to_original(own, frame)[0])
        return data_samples

    def predict_logits(
        self, inputs: Sequence[Tensor], data_samples: Sequence[SegDataSample]
    ) -> list[Tensor]:
        """Return logits (K, H, W) at the original size of each image, flips undone."""
        frames = map(self._frame, inputs, data_samples)
        pairs = zip(self._logits_of_each(inputs), frames, strict=True)
        return [to_original(logits, frame)[0] for logits, frame in pairs]

    def _frame(self, image: Tensor, sample: SegDataSample) -> Frame:
        meta = sample.metainfo
        return Frame(
            padded=(image.shape[1], image.shape[2]),
            inside=tuple(meta.get("img_shape", image.shape[1:])[:2]),
            original=tuple(meta["ori_shape"]),
            flip=meta["flip_direction"] if meta.get("flip") else None,
            align_corners=self.decode_head.align_corners,
        )

    def _logits_of_each(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return logits (1, K, h, w) of each image, at 1/8 or, by windows, at its size.

        Images of one size run as one batch. None is padded, so that an image gets the same
        prediction alone and with others.
        """
        network = self.full_logits if self.test_cfg["mode"] == "slide" else self.logits
        groups: dict[tuple, list[int]] = {}
        for i, image in enumerate(inputs):
            groups.setdefault(tuple(image.shape), []).append(i)
        results: dict[int, Tensor] = {}
        for indices in groups.values():
            logits = network(torch.stack([inputs[i] for i in indices]))
            results |= dict(zip(indices, logits.split(1), strict=True))
        return [results[i] for i in range(len(inputs))]

    def full_logits(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> logits (B, K, H, W), whole or by windows as `test_cfg` says."""

        def network(window: Tensor) -> Tensor:
            return self.decode_head.resize(self.logits(window), window.shape[2:])

        if self.test_cfg["mode"] == "slide":
            return slide_inference(network, x, self.test_cfg["crop_size"], self.test_cfg["stride"])
        return network(x)

    def logits(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> logits (B, K, H/8, W/8), float32, computed as `test_cfg.amp` says.

        They are divided by `temperature`, which makes their softmax honest and changes no class.
        """
        device = x.device.type
        amp = self.test_cfg.get("amp", False)
        with torch.autocast(device, half_dtype(device)) if amp else nullcontext():
            logits = self.decode_head.predict_from(self.extract_feat(x), x.shape[2:])
        # Half precision would show after the interpolation.
        return logits.float() / self.temperature


def _fitted(head: Mapping, backbone: Any) -> dict:
    """Return the config of a head with `in_index` and `in_channels`, if the backbone tells them."""
    info = getattr(backbone, "feature_info", None)
    if info is None or "in_channels" in head:
        return dict(head)
    strides, widths = info.reduction(), info.channels()
    found = [i for i, stride in enumerate(strides) if stride in (8, 16, 32)]
    index = found if head.get("in_index") is None else head["in_index"]
    if index == []:
        raise UserError(f"the backbone's maps have strides {strides}: give decode_head.in_index")
    several = isinstance(index, list | tuple)
    channels = [widths[i] for i in index] if several else widths[index]
    return {**head, "in_index": index, "in_channels": channels}


def _check_test_cfg(test_cfg: Mapping) -> None:
    keys = set(test_cfg) - {"amp", "with_logits"}
    fits = test_cfg.get("mode") == "whole" and keys == {"mode"}
    if test_cfg.get("mode") == "slide" and keys == {"mode", "crop_size", "stride"}:
        sizes = [test_cfg[key] for key in ("stride", "crop_size")]
        fits = all(isinstance(each, list | tuple) and len(each) == 2 for each in sizes)
        fits = fits and all(0 < step <= side for step, side in zip(*sizes, strict=True))
    if not fits:
        raise UserError(
            f"model.test_cfg={dict(test_cfg)}: give dict(mode='whole') or dict(mode='slide', "
            "crop_size=(height, width), stride=(height, width)) with strides from 1 to the size of "
            "the window, and amp or with_logits if wanted"
        )


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """Return where windows begin so that they cover `length`; the last one ends at the border."""
    last = max(length - window, 0)
    return [*range(0, last, stride), last]


def slide_inference(
    network: Callable[[Tensor], Tensor],
    x: Tensor,
    crop_size: tuple[int, int],
    stride: tuple[int, int],
) -> Tensor:
    """Average the logits of overlapping windows: (B, 3, H, W) -> (B, K, H, W).

    `network` gives logits at the size of its input. One window that covers the image gives the same
    as the network on the whole image.
    """
    starts = map(window_starts, x.shape[2:], crop_size, stride)
    total = count = torch.zeros((), device=x.device)
    for top, left in product(*starts):
        window = ..., slice(top, top + crop_size[0]), slice(left, left + crop_size[1])
        logits = network(x[window])
        if total.ndim == 0:
            total = logits.new_zeros(*logits.shape[:2], *x.shape[2:])
            count = torch.zeros_like(total[:1, :1])
        total[window] += logits
        count[window] += 1
    return total / count
