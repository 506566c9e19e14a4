"""Read every image and mask of a config's data sets and report each faulty file.

python tools/check_dataset.py CONFIG --split train val --fix-list good.txt
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from common import config_parser, in_threads, positive_int, read_config

from mmengine.config import Config
from rich.console import Console

from mmseg.datasets import check
from mmseg.datasets.base import BaseSegDataset
from mmseg.errors import UserError, one_line_errors
from mmseg.files import write_whole

SPLITS = ("train", "val", "test")
Task = tuple[BaseSegDataset, str]


def list_tasks(config: Config, wanted: Sequence[str]) -> dict[str, list[Task]]:
    """Return the samples of each split; a split with the same images as another counts once."""
    splits: dict[str, list[Task]] = {}
    seen: list[list[str]] = []
    for split in wanted:
        loader = config.get(f"{split}_dataloader")
        if not loader:
            continue
        tasks = []
        for part in check.build_parts(loader.dataset):
            names = part.list_names()
            with suppress(UserError):  # The check names each mask that cannot be read.
                part.compare_palettes(names)
            tasks += [(part, name) for name in names]
        images = [part.sample(name)["img_path"] for part, name in tasks]
        if images not in seen:  # many data sets use val as the test split, too
            splits[split] = tasks
            seen.append(images)
    if not splits:
        raise UserError(f"{config.filename}: has no data set for {', '.join(wanted)}")
    return splits


def fix_lists(out: Path, tasks: Mapping[str, Sequence[Task]]) -> dict[str, Path]:
    """Return the file to write for each split: `out`, or <out>_<split> if there are several.

    Raises `UserError` if a file is one of the checked lists.
    """
    one = len(tasks) == 1
    paths = {split: (out if one else out.with_stem(f"{out.stem}_{split}")) for split in tasks}
    read = {Path(part.ann_file).resolve() for own in tasks.values() for part, _ in own}
    for path in paths.values():
        if path.resolve() in read:
            raise UserError(f"--fix-list {path}: is the list that is checked; name a new file")
    return paths


def parse_args() -> argparse.Namespace:
    parser = config_parser(__doc__)
    add = parser.add_argument
    add("--split", nargs="+", choices=SPLITS, default=SPLITS)
    add("--fix-list", type=Path, metavar="OUT", help="write the names of good files")
    add("--workers", type=positive_int, default=2, help="threads that read")
    return parser.parse_args()


@one_line_errors
def main() -> None:
    args = parse_args()
    tasks = list_tasks(read_config(args), sorted(args.split, key=SPLITS.index))
    lists = fix_lists(args.fix_list, tasks) if args.fix_list else {}
    splits = {}
    for split, own in tasks.items():
        title = f"Reading {split}"
        splits[split] = in_threads(lambda t: check.check_sample(*t), own, args.workers, title)
    check.find_leaks(splits)

    parts = {id(part): part for own in tasks.values() for part, _ in own}.values()
    problems = [line for part in parts for line in check.masks_without_image(part)]
    problems += [line for samples in splits.values() for s in samples for line in s.problems]
    classes = next(iter(parts)).metainfo["classes"]
    problems += check.lonely_class(splits.get("train", []), classes)
    sys.stdout.writelines(f"{line}\n" for line in problems)
    console = Console()
    console.print(check.overview(splits), check.class_table(splits, classes))
    for split, path in lists.items():
        names = [sample.name for sample in splits[split] if not sample.problems]
        write_whole(path, "".join(f"{name}\n" for name in names).encode())
    if lists:
        written = ", ".join(str(path.resolve()) for path in lists.values())
        console.print(f"good files: {written} (set as ann_file in the config)")
    console.print(f"{len(problems)} problems in {sum(map(len, splits.values()))} samples")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
