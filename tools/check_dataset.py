"""Read every image and mask of a config's data sets and report each faulty file.

python tools/check_dataset.py CONFIG --split train val --fix-list good.txt
"""

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from common import in_threads, read_config, tool_parser

import numpy as np
from mmengine.config import Config
from rich.console import Console

from mmseg.datasets import check
from mmseg.datasets.base import BaseSegDataset
from mmseg.datasets.classes import lonely_class
from mmseg.errors import UserError, one_line_errors
from mmseg.files import write_whole

SPLITS = ("train", "val", "test")
Task = tuple[BaseSegDataset, str]


def list_tasks(config: Config, wanted: Sequence[str]) -> dict[str, list[Task]]:
    """Return the samples of each split; a split with the same images as another counts once."""
    splits: dict[tuple, tuple[str, list[Task]]] = {}
    for split in [each for each in SPLITS if each in wanted and config.get(f"{each}_dataloader")]:
        tasks = []
        for part in check.build_parts(config[f"{split}_dataloader"].dataset):
            names = part.list_names()
            with suppress(UserError):  # The check names each mask that cannot be read.
                part.compare_palettes(names)
            tasks += [(part, name) for name in names]
        # Many data sets use val as the test split, too.
        images = tuple(part.sample(name)["img_path"] for part, name in tasks)
        splits.setdefault(images, (split, tasks))
    if not splits:
        raise UserError(f"{config.filename}: has no data set for {', '.join(wanted)}")
    return dict(splits.values())


@one_line_errors
def main() -> None:
    parser = tool_parser(__doc__, "config", "--workers")
    parser.add_argument("--split", nargs="+", choices=SPLITS, default=SPLITS)
    parser.add_argument(
        "--fix-list", type=Path, metavar="OUT", help="write the names of good files"
    )
    args = parser.parse_args()
    tasks = list_tasks(read_config(args), args.split)
    parts = {id(part): part for own in tasks.values() for part, _ in own}.values()
    lists = {}
    if out := args.fix_list:
        lists = {s: out if len(tasks) == 1 else out.with_stem(f"{out.stem}_{s}") for s in tasks}
        read = {Path(part.ann_file).resolve() for part in parts}
        for path in [path for path in lists.values() if path.resolve() in read]:
            raise UserError(f"--fix-list {path}: is the list that is checked; name a new file")
    splits = {
        split: in_threads(lambda t: check.check_sample(*t), own, args.workers, f"Reading {split}")
        for split, own in tasks.items()
    }
    check.find_leaks(splits)
    problems = [line for part in parts for line in check.masks_without_image(part)]
    problems += [line for samples in splits.values() for s in samples for line in s.problems]
    classes = next(iter(parts)).metainfo["classes"]
    found = np.flatnonzero(sum(sample.class_pixels for sample in splits.get("train", ())))
    if advice := lonely_class(found, classes):
        problems.append(f"train: all masks {advice}")
    print(*problems, sep="\n", end="\n" if problems else "")
    console = Console()
    console.print(check.overview(splits), check.class_table(splits, classes))
    for split, path in lists.items():
        names = [sample.name for sample in splits[split] if not sample.problems]
        write_whole(path, "".join(f"{name}\n" for name in names).encode())
        console.print(f"good files of {split}: {path.resolve()} (set as ann_file in the config)")
    console.print(f"{len(problems)} problems in {sum(map(len, splits.values()))} samples")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
