"""Compute class weights from a config's training masks, and write a config that uses them.

python tools/class_weights.py CONFIG --method median_frequency --out my_config_weight.py
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from common import config_parser, in_threads, positive_int, read_config

import numpy as np

from mmseg.config.parts import parts_of
from mmseg.datasets import build_dataset
from mmseg.datasets.base import BaseSegDataset
from mmseg.datasets.class_weights import METHODS, class_weights
from mmseg.errors import UserError, one_line_errors
from mmseg.files import read_text, write_whole

TITLE = "# Class weights by"


def count_pixels(datasets: Sequence[BaseSegDataset], workers: int) -> np.ndarray:
    """Return the int64 (images, C) counts of the labelled pixels, under a progress bar."""
    num_classes = len(datasets[0].metainfo["classes"])
    masks = [(dataset, index) for dataset in datasets for index in range(len(dataset))]

    def count(mask: tuple[BaseSegDataset, int]) -> np.ndarray:
        dataset, index = mask
        return np.bincount(dataset.get_seg_map(index).ravel(), minlength=256)[:num_classes]

    return np.stack(in_threads(count, masks, workers, "Counting pixels"))


def fragment(
    base: str,
    losses: Mapping | Sequence[Mapping],
    method: str,
    classes: Sequence[str],
    pixels: np.ndarray,
    weights: np.ndarray,
) -> str:
    """Return the text of a config that inherits `base` and sets the weights of its `losses`."""
    values = "".join(
        f"    {weight:.4g},  # {name}: {share:.3%} of the labelled pixels\n"
        for name, share, weight in zip(classes, pixels / pixels.sum(), weights, strict=True)
    )
    return (
        f"{TITLE} {method}: train with this file, or copy the weights into a leaf.\n"
        f'_base_ = "{base}"\n\n'
        f"class_weight = [\n{values}]\n"
        f"model = dict(decode_head=dict(loss_decode={_weighted(losses)}))\n"
    )


def _weighted(losses: Mapping | Sequence[Mapping]) -> str:
    if isinstance(losses, Mapping):
        return "dict(class_weight=class_weight)"
    # A list in a config replaces the list of its base, so all keys are written.
    terms = [{k: v for k, v in loss.items() if k != "class_weight"} for loss in losses]
    return "[" + ", ".join(f"dict({term!r}, class_weight=class_weight)" for term in terms) + "]"


@one_line_errors
def main() -> None:
    parser = config_parser(__doc__)
    parser.add_argument("--method", choices=METHODS, default="median_frequency")
    parser.add_argument("--out", type=Path, help="the file to write (standard output)")
    parser.add_argument("--workers", type=positive_int, default=2, help="threads that read masks")
    args = parser.parse_args()

    # It replaces only files that it has written itself. Another file may be a base of the config.
    if args.out and args.out.is_file() and not read_text(args.out).startswith(TITLE):
        raise UserError(f"--out {args.out}: would replace a file of yours; name a new one")
    config = read_config(args)
    parts = parts_of(config.train_dataloader.dataset)
    datasets = [build_dataset(part) for part in parts]
    counts = count_pixels(datasets, args.workers)
    weights = class_weights(counts, args.method)
    base = os.path.relpath(args.config, args.out.parent if args.out else Path.cwd())
    losses = config.model.decode_head.get("loss_decode") or [{"type": "CrossEntropyLoss"}]
    classes, pixels = datasets[0].metainfo["classes"], counts.sum(axis=0)
    text = fragment(base, losses, args.method, classes, pixels, weights)
    if args.out:
        write_whole(args.out, text.encode())
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
