"""Count parameters and multiply-adds: python tools/get_flops.py CONFIG --shape 512 512"""

from collections.abc import Sequence
from typing import Any
from unittest import mock

from common import positive_int, read_config, tool_parser

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from mmseg.errors import one_line_errors
from mmseg.evaluation.report import render_table
from mmseg.models.decode_heads import ham_head
from mmseg.registry import MODELS


def conv_of_levels(conv: nn.Module, levels: Sequence[Tensor], *_: object) -> Tensor:
    return conv(torch.cat([F.interpolate(x, levels[0].shape[2:]) for x in levels], dim=1))


def conv_of_product(conv: nn.Module, bases: Tensor, coef: Tensor, size: Sequence[int]) -> Tensor:
    return conv((bases @ coef.mT).unflatten(2, tuple(size)))


def count(model: nn.Module, height: int, width: int) -> tuple[int, dict[str, int]]:
    """Return the number of parameters, and the multiply-adds of backbone and head for one image.

    Convolutions and matrix products count, also those of the factorisation.
    """
    preprocessor: Any = model.data_preprocessor
    image = torch.empty(1, len(preprocessor.mean), height, width)
    # The head computes two convolutions in a cheaper order with equal results; the paper does not.
    papers_order = mock.patch.multiple(
        ham_head, conv_of_levels=conv_of_levels, conv_of_product=conv_of_product
    )
    with FlopCounterMode(display=False) as counter, torch.no_grad(), papers_order:
        model.eval()(image, mode="tensor")
    parts = counter.get_flop_counts()
    name = type(model).__name__
    # torch counts a multiply-add as two operations.
    names = "backbone", "decode_head"
    macs = {part: sum(parts.get(f"{name}.{part}", {}).values()) // 2 for part in names}
    return sum(p.numel() for p in model.parameters()), macs


@one_line_errors
def main() -> None:
    parser = tool_parser(__doc__, "config")
    add = parser.add_argument
    add("--shape", type=positive_int, nargs=2, default=(512, 512), metavar=("H", "W"))
    args = parser.parse_args()
    config = read_config(args)
    # Fake tensors have a shape but no data, so nothing is computed, however large the image.
    with FakeTensorMode():
        parameters, macs = count(MODELS.build(config.model), *args.shape)
    total = sum(macs.values())
    macs |= {"all, MACs": total, "all, FLOPs = 2 x MACs": 2 * total}
    rows = [[part, f"{value / 1e9:.2f} G"] for part, value in macs.items()]
    rows.append(["parameters", f"{parameters / 1e6:.2f} M"])
    title = (
        f"1 image of {args.shape[0]}x{args.shape[1]}: multiply-adds (MACs) of convolutions and "
        "matrix products, NMF included.\nThe paper's GFLOPs are MACs."
    )
    print(render_table(["part", "amount"], rows, title))


if __name__ == "__main__":
    main()
