"""Softmax cross entropy of bilinearly upsampled logits, without ever holding them at full size.

At 512x512 with 150 classes the upsampled logits of one image take 157 MB, and their gradient and
the softmax as much again. Here a band of rows is computed at a time, the gradient together with the
value.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg.ops import bilinear, triton


def upsampled_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    class_weight: Tensor | None = None,
    ignore_index: int = 255,
    align_corners: bool = False,
) -> tuple[Tensor, Tensor]:
    """Upsample logits (B, K, h, w) to the size of labels (B, H, W), int64, and compare them.

    Returns two scalars. The first is the sum, over the pixels whose label is not `ignore_index`, of
    class_weight[label] * (log(sum of exp(z_k)) - z_label), for upsampled logits z. It is NaN if a
    logit is not finite. The second counts those of these pixels at whose label the logit is larger
    than all others, int64. `IndexError` on CPUs for a label that is no class and not ignored.
    """
    return _Upsampled.apply(logits, labels, class_weight, ignore_index, align_corners)


class _Upsampled(torch.autograd.Function):
    """The sum, with its gradient made in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, labels: Tensor, class_weight: Tensor | None, *options: Any
    ) -> tuple[Tensor, Tensor]:
        x = logits if logits.dtype == torch.float64 else logits.float()
        weight = x.new_ones(x.shape[1]) if class_weight is None else class_weight.to(x.dtype)
        gpu = triton.kernels_for(x, "cross_entropy")
        compare = gpu.compare if gpu else _in_bands
        with torch.autocast(x.device.type, enabled=False):
            total, right, grad = compare(x, labels, weight, *options)
        ctx.save_for_backward(grad.to(logits.dtype))
        ctx.mark_non_differentiable(right)
        return total, right

    @staticmethod
    def backward(ctx: Any, grad_total: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = ctx.saved_tensors
        return grad * grad_total, None, None, None, None


def _in_bands(
    x: Tensor, labels: Tensor, class_weight: Tensor, ignore_index: int, align_corners: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the sum, the number of right pixels, and the gradient of the sum."""
    batch, classes, height, width = x.shape
    rows, columns = labels.shape[1:]
    down = bilinear.matrix(height, rows, align_corners, x.device).to(x.dtype)
    across = bilinear.matrix(width, columns, align_corners, x.device).to(x.dtype)
    first_of_row, _ = bilinear.positions(height, rows, align_corners)
    x = x.permute(0, 2, 3, 1).contiguous()  # softmax is fastest over the last dimension
    grad = torch.zeros_like(x)
    total, right = x.new_zeros(()), labels.new_zeros(())
    step = bilinear.rows_at_once(batch * classes * columns, x.device)
    for start in range(0, rows, step):
        band = slice(start, min(start + step, rows))
        reach = slice(first_of_row[start], first_of_row[band.stop - 1] + 2)
        upsampled = down[band, reach] @ (across @ x[:, reach]).flatten(2)
        pixels = upsampled.view(-1, classes)
        found = _compare(pixels, labels[:, band].flatten(), class_weight, ignore_index)
        total, right = total + found[0], right + found[1]
        part = down[band, reach].T @ upsampled  # now the gradient
        grad[:, reach] += across.T @ part.unflatten(2, (columns, classes))
    return total, right, grad.permute(0, 3, 1, 2)


def _compare(
    logits: Tensor, label: Tensor, class_weight: Tensor, ignore_index: int
) -> tuple[Tensor, Tensor]:
    """Return sum and right pixels of logits (P, K), which become the gradient of the sum."""
    shares = logits.log_softmax(1)
    # Summed outside the kernel, which has no deterministic sum on CUDA.
    losses = F.nll_loss(shares, label, class_weight, ignore_index=ignore_index, reduction="none")
    counts = (label != ignore_index)[:, None]
    label = label[:, None].where(counts, 0)
    at_label = logits.gather(1, label)
    others = logits.scatter_(1, label, -torch.inf).amax(1, keepdim=True)
    weight = class_weight[label] * counts
    torch.mul(shares.exp_(), weight, out=logits)
    logits.scatter_(1, label, logits.gather(1, label) - weight)
    return losses.sum(), ((at_label > others) & counts).sum()
