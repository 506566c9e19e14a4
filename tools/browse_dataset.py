"""Draw training samples as the network gets them: python tools/browse_dataset.py CONFIG

Writes sheets <out>/sheet_<n>.png: each augmented image, and beside it the image with its labels.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from common import console, positive_int, progress, read_config, tool_parser

import mmcv
import numpy as np

from mmseg.config.parts import parts_of
from mmseg.datasets import build_dataset
from mmseg.errors import one_line_errors
from mmseg.imagery.bands import picture
from mmseg.imagery.pictures import LIMIT, overlay, sheet, shrink, write_image

COLUMNS = 4  # two samples


def pictures(
    dataset, indices: np.ndarray, bands: Sequence[str] | None
) -> Iterator[tuple[np.ndarray, str]]:
    """Yield each sample as two pictures with captions: the image, and its labels laid over it."""
    for index in indices:
        sample = dataset[int(index)]
        pixels = sample["inputs"].numpy().transpose(1, 2, 0)
        image = picture(pixels, dataset.metainfo.get("bands"), bands)
        labels = sample["data_samples"].gt_sem_seg.data[0].numpy()
        if image.shape[:2] != labels.shape:  # a test pipeline resizes only the image
            image = mmcv.imresize(image, labels.shape[::-1])
        image, labels = (shrink(each, LIMIT // COLUMNS) for each in (image.copy(), labels))
        yield image, Path(sample["data_samples"].img_path).name
        yield overlay(image, labels, dataset.metainfo["palette"], 0.6), "labels"


@one_line_errors
def main() -> None:
    parser = tool_parser(__doc__, "config", "--bands", "--seed")
    add = parser.add_argument
    add("--split", choices=("train", "val", "test"), default="train")
    add("--count", type=positive_int, default=24, help="how many samples")
    add("--per-sheet", type=positive_int, default=12, help="samples on a sheet")
    add("--out", "--output-dir", default="work_dirs/browse", metavar="DIR")
    args = parser.parse_args()
    data = read_config(args)[f"{args.split}_dataloader"].dataset
    bits = (parts_of(data)[0].get("metainfo") or {}).get("bits")
    for step in (step for part in parts_of(data) for step in part.get("pipeline", ())):
        if "on_device" in step:  # no device changes the colours of a drawn sample
            # Those of other bits are not changed: only the model's preprocessor can do it.
            step["on_device"] = bits not in (None, "uint8")
    dataset = build_dataset(data)
    key = dataset.metainfo["classes"], dataset.metainfo["palette"]
    np.random.seed(args.seed)
    indices = np.random.permutation(len(dataset))[: args.count]
    starts = range(0, len(indices), args.per_sheet)
    for number, start in enumerate(progress(starts, "Drawing")):
        chosen = indices[start : start + args.per_sheet]
        drawn, captions = zip(*pictures(dataset, chosen, args.bands), strict=True)
        write_image(Path(args.out) / f"sheet_{number}.png", sheet(drawn, captions, COLUMNS, *key))
    console.print(f"{len(starts)} sheets of {len(indices)} samples: {args.out}")


if __name__ == "__main__":
    main()
