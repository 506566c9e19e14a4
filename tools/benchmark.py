"""Measure speed and memory, alone or against another: python tools/benchmark.py infer CONFIG

The sides take turns in processes of their own; docs/benchmarks.md says what is measured how.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from common import config_parser, read_config

import torch
from mmengine.config import Config
from rich.console import Console

from mmseg.apis import default_device
from mmseg.benchmark.files import place_data
from mmseg.benchmark.report import check_notes, results_table, version_lines
from mmseg.benchmark.run import OWN_PARTS, PARTS, READ_FILES, Measurement
from mmseg.benchmark.settings import Settings
from mmseg.benchmark.sides import our_side, peer_sides, plain_sides, prepare_config
from mmseg.config import load_config
from mmseg.errors import UserError, one_line_errors
from mmseg.files import write_whole


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("part", choices=(*PARTS, "all", *OWN_PARTS))
    parser = config_parser(__doc__, parents=[parser])
    parser.add_argument("--against", metavar="CONFIG2|onedl|plain", help="another side to measure")
    parser.add_argument("--peer-python", help="the python of an environment with the peer: onedl")
    parser.add_argument("--device", default=default_device(), help="cpu, cuda or cuda:N")
    parser.add_argument("--amp", choices=("bf16", "fp16"), help="mixed precision")
    parser.add_argument("--compile", action="store_true", help="torch.compile the network")
    parser.add_argument("--batch", type=int, nargs="+", help="images at a time (infer 1, others 2)")
    parser.add_argument("--size", type=int, nargs=2, default=(512, 512), metavar=("H", "W"))
    parser.add_argument("--runs", type=int, default=10, help="rounds that count, after two")
    parser.add_argument("--malloc", choices=("default", "tuned"), default="default")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every time measured")
    return parser.parse_args()


def settings_of(args: argparse.Namespace) -> Settings:
    return Settings(
        device=args.device,
        threads=torch.get_num_threads(),
        amp=args.amp,
        compile=args.compile,
        batches=args.batch,
        size=tuple(args.size),
        runs=args.runs,
        malloc=args.malloc,
    )


def make_sides(args: argparse.Namespace, config: Config, settings: Settings, folder: Path) -> list:
    """Return the config's side and those that --against names."""
    ours = our_side("ours", config, settings, folder)
    if args.against is None:
        return [ours]
    if args.against == "onedl":
        return [ours, *peer_sides(config, ours, args.peer_python)]
    if args.against == "plain":
        return [ours, *plain_sides(config, settings, folder)]
    other = prepare_config(load_config(args.against), settings)
    if args.part in {*READ_FILES, "all"}:
        place_data(other, folder / "other")
    return [ours, our_side(Path(args.against).stem, other, settings, folder / "other")]


@one_line_errors
def main() -> None:
    args = parse_args()
    settings = settings_of(args)
    if args.part in OWN_PARTS and args.against == "onedl":
        raise UserError(f"{args.part} measures this project's own code: --against plain or CONFIG2")
    console = Console(stderr=True)
    parts = [*PARTS] if args.part == "all" else [args.part]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = prepare_config(read_config(args), settings)
        reads = not READ_FILES.isdisjoint(parts)
        files = [place_data(config, folder / "data")] if reads else []
        sides = make_sides(args, config, settings, folder)
        measurement = Measurement(sides, settings, config, folder)
        same_model = args.against in ("onedl", "plain") and parts != ["data"]
        checked = measurement.check() if same_model else {}
        results = [r for part in parts for r in measurement.measure(part, console.print)]
    notes = [*files, *(note for side in sides for note in side.notes), *check_notes(checked)]
    title = "\n".join([settings.title(), *version_lines(results), *notes])
    sys.stdout.write(results_table(results, title) + "\n")
    if args.json:
        content = {"settings": settings.as_dict(), "notes": notes, "check": checked}
        content |= {"command": sys.argv, "config": args.config, "results": results}
        write_whole(args.json, json.dumps(content, indent=1).encode())


if __name__ == "__main__":
    main()
