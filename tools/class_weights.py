"""Compute class weights from a config's training masks, and write a config that uses them.

python tools/class_weights.py CONFIG --method median_frequency --out my_config_weight.py
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from common import in_threads, read_config, tool_parser

import numpy as np

from mmseg.datasets.base import BaseSegDataset
from mmseg.datasets.check import build_parts
from mmseg.datasets.class_weights import METHODS, class_weights
from mmseg.errors import UserError, one_line_errors
from mmseg.files import read_text, write_whole

TITLE = "# Class weights by"


def weighted(losses: Mapping | Sequence[Mapping]) -> str:
    """Return the text that gives the weights to the losses of a head."""
    if isinstance(losses, Mapping):
        return "dict(class_weight=class_weight)"
    # A list in a config replaces the list of its base, so all keys are written.
    terms = [{k: v for k, v in loss.items() if k != "class_weight"} for loss in losses]
    return "[" + ", ".join(f"dict({term!r}, class_weight=class_weight)" for term in terms) + "]"


def count_pixels(mask: tuple[BaseSegDataset, int]) -> np.ndarray:
    """Return how many pixels of a mask each class has, int64 (C,)."""
    part, index = mask
    return part.count_pixels(part.get_data_info(index))


@one_line_errors
def main() -> None:
    parser = tool_parser(__doc__, "config", "--workers")
    parser.add_argument("--method", choices=METHODS, default="median_frequency")
    parser.add_argument("--out", type=Path, help="the file to write (standard output)")
    args = parser.parse_args()

    # It replaces only files that it has written itself. Another file may be a base of the config.
    if args.out and args.out.is_file() and not read_text(args.out).startswith(TITLE):
        raise UserError(f"--out {args.out}: would replace a file of yours; name a new one")
    config = read_config(args)
    datasets = build_parts(config.train_dataloader.dataset, lazy=False)
    masks = [(part, index) for part in datasets for index in range(len(part))]
    counts = in_threads(count_pixels, masks, args.workers, "Counting pixels")
    weights, pixels = class_weights(counts, args.method), np.sum(counts, axis=0)
    columns = datasets[0].metainfo["classes"], pixels / pixels.sum(), weights
    values = "".join(
        f"    {weight:.4g},  # {name}: {share:.3%} of the labelled pixels\n"
        for name, share, weight in zip(*columns, strict=True)
    )
    base = os.path.relpath(args.config, args.out.parent if args.out else Path.cwd())
    losses = config.model.decode_head.get("loss_decode") or [{"type": "CrossEntropyLoss"}]
    text = (
        f"{TITLE} {args.method}: train with this file, or copy the weights into a leaf.\n"
        f'_base_ = "{base}"\n\n'
        f"class_weight = [\n{values}]\n"
        f"model = dict(decode_head=dict(loss_decode={weighted(losses)}))\n"
    )
    if args.out:
        write_whole(args.out, text.encode())
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
