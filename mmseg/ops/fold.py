"""MSCAN for inference: batch norm and layer scale folded into convolutions, exactly.

With norm(x) = a x + b per channel, a block of MSCAN is

    y   = x + s1 (norm1(x) + proj_2(u)),  u = gate(GELU(proj_1(norm1(x))))
        = (1 + s1 a1) x + s1 b1 + s1 proj_2(u)
    out = y + s2 fc2(GELU(dwconv(fc1(norm2(y)))))

so that norm1 goes into proj_1 and, as the shortcut starts from the normalised input, into a factor
of x and the bias of proj_2; norm2 goes into fc1, as 1x1 convolutions have no padding; s1 and s2 go
into proj_2 and fc2; the norm after a strided convolution goes into that.

On CPUs, oneDNN applies the GELU, the sum or the product that follows a convolution on its way out.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg.environment import keep_memory_of_images
from mmseg.ops import fold_avx2
from mmseg.ops.bands import rows_per_band
from mmseg.ops.depthwise import depthwise_conv2d
from mmseg.ops.intact import is_intact
from mmseg.ops.layout import fast_format

# The hidden maps of an MLP, up to eight times as wide as its input, are held for so many bytes of
# rows at a time: what stays in the cache and is no news for malloc.
BAND_BYTES = 2**22

Parts = Mapping[type, Sequence[tuple[type, ...]]]
"""The kinds that each child of a kind of module may be of, in order."""


class Conv:
    """A convolution with the elementwise operation that follows it."""

    def __init__(self, weight: Tensor, bias: Tensor, geometry: Any, dtype: torch.dtype) -> None:
        # Not only for speed: the result lies as the weight does, whatever x is.
        self.weight = weight.to(dtype, memory_format=fast_format(weight))
        self.bias = bias.to(dtype)
        self.stride: list[int] = [*geometry.stride]
        self.padding: list[int] = [*geometry.padding]
        self.groups = geometry.groups
        self.fuses = _fuses(weight.device, dtype)

    def _geometry(self) -> tuple:
        return self.padding, self.stride, [1, 1], self.groups

    def __call__(self, x: Tensor) -> Tensor:
        if self.groups > 1:
            return depthwise_conv2d(x, self.weight, self.bias)
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)

    def gelu(self, x: Tensor) -> Tensor:
        """Return GELU(conv(x))."""
        if not self.fuses:
            return F.gelu(self(x))
        return torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, *self._geometry(), "gelu", [], "none"
        )

    def times(self, x: Tensor, other: Tensor) -> Tensor:
        """Return other * conv(x)."""
        if not self.fuses or x.shape[2:].numel() == 1:  # a single pixel, which torch 2.6 refuses
            return other * self(x)
        return torch.ops.mkldnn._convolution_pointwise.binary(
            x, other, self.weight, self.bias, *self._geometry(), "mul", None, None, [], None
        )

    def add_to(self, total: Tensor, x: Tensor) -> Tensor:
        """Return total + conv(x); `total` is overwritten."""
        if not self.fuses:
            return total.add_(self(x))
        return torch.ops.mkldnn._convolution_pointwise_.binary(
            total, x, self.weight, self.bias, *self._geometry(), "add", 1.0, None, [], None
        )


def _fuses(device: torch.device, dtype: torch.dtype) -> bool:
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if dtype == torch.bfloat16:
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return dtype == torch.float32


def _affine(norm: Any) -> tuple[Tensor, Tensor]:
    """Return a and b of norm(x) = a x + b, float32 (C,)."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - scale * norm.running_mean


def _plain(conv: Any, dtype: torch.dtype) -> Conv:
    return Conv(conv.weight, conv.bias, conv, dtype)


def _norm_after(conv: Any, norm: Any, dtype: torch.dtype) -> Conv:
    a, b = _affine(norm)
    return Conv(conv.weight * a[:, None, None, None], a * conv.bias + b, conv, dtype)


def _norm_before(conv: Any, norm: Any, dtype: torch.dtype) -> Conv:
    a, b = _affine(norm)
    bias = conv.bias + conv.weight.flatten(1) @ b
    return Conv(conv.weight * a[:, None, None], bias, conv, dtype)


class FoldedBlock:
    def __init__(self, block: Any, dtype: torch.dtype) -> None:
        attn, mlp = block.attn, block.mlp
        gate = attn.spatial_gating_unit
        a1, b1 = _affine(block.norm1)
        s1, s2 = block.layer_scale_1, block.layer_scale_2
        self.proj_1 = _norm_before(attn.proj_1, block.norm1, dtype)
        self.conv0 = _plain(gate.conv0, dtype)
        self.strips = [
            (_plain(first, dtype), _plain(second, dtype))
            for first, second in (
                (gate.conv0_1, gate.conv0_2),
                (gate.conv1_1, gate.conv1_2),
                (gate.conv2_1, gate.conv2_2),
            )
        ]
        self.conv3 = _plain(gate.conv3, dtype)
        proj_2, fc2 = attn.proj_2, mlp.fc2
        self.proj_2 = Conv(
            proj_2.weight * s1[:, None, None, None], s1 * (proj_2.bias + b1), proj_2, dtype
        )
        self.shortcut = (1 + s1 * a1)[:, None, None].to(dtype)
        self.fc1 = _norm_before(mlp.fc1, block.norm2, dtype)
        self.dwconv = _plain(mlp.dwconv.dwconv, dtype)
        self.fc2 = Conv(fc2.weight * s2[:, None, None, None], s2 * fc2.bias, fc2, dtype)

    def __call__(self, x: Tensor) -> Tensor:
        u = self.proj_1.gelu(x)
        x = self.proj_2.add_to(x * self.shortcut, self.conv3.times(self.branches(u), u))
        return self._add_mlp(x)

    def branches(self, u: Tensor) -> Tensor:
        """Return the sum of the four branches of the gate."""
        attn = self.conv0(u)
        total = attn.clone()
        for first, second in self.strips:
            total = second.add_to(total, first(attn))
        return total

    def _add_mlp(self, x: Tensor) -> Tensor:
        """Return x plus its MLP, on CPUs in bands of rows."""
        height, width = x.shape[2:]
        hidden = len(self.fc1.bias)
        rows = rows_per_band(height, hidden * width * x.element_size(), BAND_BYTES)
        if x.device.type != "cpu" or rows == height:
            return self.fc2.add_to(x, self.dwconv.gelu(self.fc1(x)))
        result = x.clone()
        for image, target in zip(x.split(1), result.split(1), strict=True):
            for top in range(0, height, rows):
                end = min(top + rows, height)
                first = max(top - 1, 0)  # the 3x3 convolution reaches one row beyond the band
                inner = self.dwconv.gelu(self.fc1(image[:, :, first : end + 1]))
                inner = inner[:, :, top - first : end - first]
                self.fc2.add_to(target[:, :, top:end], inner)
        return result


class FoldedStage:
    """The blocks of a stage, one after the other."""

    def __init__(self, blocks: Sequence[FoldedBlock]) -> None:
        self.blocks = blocks

    def __call__(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def _stage(blocks: Iterable[Any], dtype: torch.dtype) -> FoldedStage | fold_avx2.Stage:
    folded = [FoldedBlock(block, dtype) for block in blocks]
    device = folded[0].shortcut.device
    return (fold_avx2.Stage if fold_avx2.suits(device, dtype) else FoldedStage)(folded)


class FoldedMSCAN:
    """An MSCAN in evaluation, as its weights are now, computing in `dtype`."""

    def __init__(self, stages: Iterable[tuple], dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.stages = [
            (
                self._embed(patch_embed.proj, getattr(patch_embed, "norm", None), dtype),
                _stage(blocks, dtype),
                norm,
            )
            for patch_embed, blocks, norm in stages
        ]

    @staticmethod
    def _embed(proj: Any, norm: Any, dtype: torch.dtype) -> list[Conv]:
        if norm is not None:
            return [_norm_after(proj, norm, dtype)]
        first, first_norm, _, second, second_norm = proj  # the stem
        return [_norm_after(first, first_norm, dtype), _norm_after(second, second_norm, dtype)]

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the backbone's maps, in the layout of `fast_format`."""
        x = x.to(self.dtype)
        x = x.contiguous(memory_format=fast_format(x))
        outs = []
        for embed, blocks, norm in self.stages:
            for conv in embed[:-1]:
                x = conv.gelu(x)
            x = embed[-1](x)
            x = blocks(x)
            # Over the channels in the precision of its weights, float32 also under autocast.
            x = norm(x.to(torch.promote_types(x.dtype, norm.weight.dtype))).to(self.dtype)
            outs.append(x)
        return tuple(outs)


class Folding:
    """Folded forms of a backbone, one per dtype, for as long as it stays as it is.

    `parts` names for each kind of module the kinds of its children, in order, for what is folded.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.clear()

    def clear(self) -> None:
        """Forget them, for their memory."""
        self._snapshot: Snapshot | None = None

    def get(self, backbone: Any, dtype: torch.dtype) -> FoldedMSCAN | None:
        """Return the form of `backbone` that computes in `dtype`.

        None if modules inside it were replaced, patched or hooked, or are in training.
        """
        tensors = _tensors(backbone, self.parts)
        if tensors is None:
            return None
        snapshot = self._snapshot
        if snapshot is None or not snapshot.shows(tensors):
            # Replaced as a whole: other threads may be at work with the one before.
            snapshot = self._snapshot = Snapshot(tensors)
        if dtype not in snapshot.folded:
            keep_memory_of_images()
            snapshot.folded[dtype] = FoldedMSCAN(backbone.stages(), dtype)
        return snapshot.folded[dtype]


class Snapshot:
    """Where tensors lay and what they held, as far as that is looked at, when `folded` was made."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.folded: dict[torch.dtype, FoldedMSCAN] = {}
        self.places = _places(tensors)
        self.samples = _samples(tensors)
        self.values = torch.cat(self.samples)

    def shows(self, tensors: Sequence[Tensor]) -> bool:
        """Tell whether the tensors are those, unchanged."""
        if _places(tensors) != self.places:
            return False
        # What is done to a tensor's `data`, by averages of weights for example, no version counts.
        values = self.values
        if values.is_meta or (values.is_cuda and torch.cuda.is_current_stream_capturing()):
            return True  # nothing can be looked at
        return torch.equal(torch.cat(self.samples), values)


def _tensors(backbone: Any, parts: Parts) -> list[Tensor] | None:
    """Return the weights and statistics of a backbone, None where a part is none of `parts`."""
    tensors: list[Tensor] = []
    waiting: list[tuple[Any, Collection[type]]] = []
    for embed, blocks, norm in backbone.stages():
        waiting += [(module, parts) for module in (embed, *blocks, norm)]
    while waiting:
        module, kinds = waiting.pop()
        # Batch norm in training, to take new statistics, and dropout are not what is folded.
        if module.training or not is_intact(module, kinds) or not _is_usual(module):
            return None
        for tensor in (*module._parameters.values(), *module._buffers.values()):
            if tensor is None:  # no bias, or no statistics
                return None
            tensors.append(tensor)
        children, expected = module._modules.values(), parts.get(type(module), ())
        if len(children) != len(expected):
            return None
        waiting += zip(children, expected, strict=True)
    return tensors


def _is_usual(module: Any) -> bool:
    """Tell whether a GELU, or a convolution's geometry, is of the one kind that is folded."""
    options = vars(module)
    return (
        options.get("approximate", "none") == "none"
        and options.get("padding_mode", "zeros") == "zeros"
        and options.get("dilation", (1, 1)) == (1, 1)
        and not isinstance(options.get("padding"), str)
    )


def _places(tensors: Sequence[Tensor]) -> list[tuple[int, int]]:
    return [(tensor.data_ptr(), _version(tensor)) for tensor in tensors]


def _samples(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Return views of values that a change of a tensor changes, too, unless it is of a few.

    All of a vector, of a weight (C, ...) what makes the first output and takes the first input.
    """
    flat = [t.detach().flatten(1) if t.dim() > 1 else t.detach() for t in tensors]
    weights = [weight for weight in flat if weight.dim() > 1]
    return [v for v in flat if v.dim() == 1] + [w[0] for w in weights] + [w[:, 0] for w in weights]


def _version(tensor: Tensor) -> int:
    """How often the tensor has been changed in place; torch does not count it for all tensors."""
    return 0 if tensor.is_inference() else tensor._version
