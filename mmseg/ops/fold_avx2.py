"""The blocks of a folded MSCAN on processors without AVX-512: products into buffers, GELU in loops.

There MKL multiplies as fast as oneDNN, which packs the weights at every call, and oneDNN's GELU
takes longer than the convolution it follows. A map (B, C, H, W), channels_last, is a matrix of
pixels (B*H*W, C); every product but the depth-wise ones writes into a buffer that the blocks of a
stage share, and the map itself is changed in place.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmseg.ops import compiled, processor
from mmseg.ops.bands import rows_per_band

kernel = compiled.load("gelu")

# Bytes of the hidden map of an MLP that are there at a time.
BAND_BYTES = 2**21


def suits(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether blocks on this device are faster so."""
    on_cpu = device.type == "cpu" and dtype == torch.float32
    return on_cpu and kernel is not None and processor.only_avx2()


class Buffers:
    """Memory for one stage: maps of pixels (N, C) and bands of hidden pixels (rows, W, hidden)."""

    def __init__(self, x: Tensor, hidden: int) -> None:
        batch, channels, height, self.width = x.shape
        pixels = batch * height * self.width
        self.gate, self.product = x.new_empty(2, pixels, channels)
        row_bytes = self.width * hidden * x.element_size()
        self.rows = rows_per_band(height, row_bytes, BAND_BYTES)
        self.hidden = x.new_empty(self.rows + 2, self.width, hidden)
        self.inner = x.new_empty(self.rows, self.width, hidden)


class Block:
    """A `fold.FoldedBlock` that changes its map in place."""

    def __init__(self, block: Any) -> None:
        self.branches = block.branches
        self.proj_1, self.conv3, self.proj_2, self.fc1, self.fc2 = (
            conv.weight.detach().flatten(1).T
            for conv in (block.proj_1, block.conv3, block.proj_2, block.fc1, block.fc2)
        )
        self.proj_1_bias = block.proj_1.bias.detach().numpy()
        self.conv3_bias = block.conv3.bias.detach()
        self.shortcut = block.shortcut.flatten()
        # Added before fc1 reads the map, whose bias takes it back.
        self.shift = (block.proj_2.bias + block.fc2.bias).detach()
        hidden_bias = block.fc1.bias - block.fc2.bias @ self.fc1
        taps = block.dwconv.weight.detach()[:, 0].permute(1, 2, 0).contiguous()  # (3, 3, hidden)
        self.taps = taps.numpy()
        self.inner_bias = _bias_by_neighbours(taps, hidden_bias, block.dwconv.bias).numpy()

    def __call__(self, x: Tensor, buffers: Buffers) -> None:
        pixels = _pixels(x)
        self._add_attention(pixels, x.shape, buffers)
        for image in pixels.view(len(x), *x.shape[2:], -1):
            self._add_mlp(image, buffers)

    def _add_attention(self, pixels: Tensor, shape: Sequence[int], buffers: Buffers) -> None:
        gate, product = buffers.gate, buffers.product
        torch.mm(pixels, self.proj_1, out=gate)
        values = gate.numpy()
        compiled.run_pieces(
            lambda begin, end: kernel.add_and_gelu(values[begin:end], self.proj_1_bias), len(values)
        )
        batch, channels, height, width = shape
        branches = self.branches(gate.view(batch, height, width, channels).permute(0, 3, 1, 2))
        torch.mm(_pixels(branches), self.conv3, out=product)
        product.add_(self.conv3_bias).mul_(gate)
        torch.addcmul(self.shift, pixels, self.shortcut, out=pixels)
        pixels.addmm_(product, self.proj_2)

    def _add_mlp(self, image: Tensor, buffers: Buffers) -> None:
        """Add its MLP to an image (H, W, C), band by band."""
        hidden, inner = buffers.hidden, buffers.inner
        values, result = hidden.numpy(), inner.numpy()
        height, rows = len(image), buffers.rows
        for top in range(0, height, rows):
            end = min(top + rows, height)
            # Row 0 of `hidden` is the one above the band; two rows are left of the last band.
            known = 2 if top else 1
            if top:
                hidden[:2] = hidden[rows : rows + 2]
            source = image[top - 1 + known : end + 1].flatten(0, 1)
            target = hidden[known : known + len(source) // buffers.width].flatten(0, 1)
            torch.mm(source, self.fc1, out=target)

            def convolve(begin: int, stop: int, top: int = top) -> None:
                kernel.depthwise_gelu(
                    values, self.taps, self.inner_bias, top, height, begin, stop, result
                )

            compiled.run_pieces(convolve, end - top)
            image[top:end].flatten(0, 1).addmm_(inner[: end - top].flatten(0, 1), self.fc2)


def _pixels(x: Tensor) -> Tensor:
    """View a channels_last map (B, C, H, W) as (B*H*W, C)."""
    return x.permute(0, 2, 3, 1).flatten(0, 2)


def _bias_by_neighbours(taps: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Return `before`, added to the input of a 3x3 convolution, as (4, 4, C) biases after it.

    The padding is not part of the input, so that the sum is over the neighbours there are: see
    `numba_gelu.depthwise_gelu`.
    """
    inside = [slice(first, 3 - last) for last in (0, 1) for first in (0, 1)]
    rows = [[after + before * taps[i, j].sum((0, 1)) for j in inside] for i in inside]
    return torch.stack([torch.stack(row) for row in rows]).detach()


class Stage:
    """The blocks of a stage, one after the other; the map they are called with is overwritten."""

    def __init__(self, blocks: Sequence[Any]) -> None:
        self.blocks = [Block(block) for block in blocks]

    def __call__(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        buffers = Buffers(x, self.blocks[0].taps.shape[2])
        for block in self.blocks:
            block(x, buffers)
        return x
