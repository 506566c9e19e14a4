"""What the tools share: command-line arguments and the set-up of a run."""

import argparse
import gc
import os
import runpy
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

HERE = Path(__file__).resolve().parent

# The file is run by its path, because `import mmseg` may find another project's package.
environment = runpy.run_path(str(HERE.parent / "mmseg/environment.py"))
try:
    environment["check_environment"]()
except ImportError as error:
    sys.exit(f"error: {error}")
environment["setup_process"]()

import torch
from mmengine.config import Config
from rich.console import Console
from rich.progress import track

from mmseg.apis import check_device, init_model
from mmseg.config import load_config
from mmseg.config.changes import use_rank
from mmseg.config.loading import Typed
from mmseg.engine.prepare import default_work_dir, use_inference_amp
from mmseg.errors import UserError
from mmseg.export.engines import CHOICES
from mmseg.export.loading import EngineModel, is_exported, load
from mmseg.files import make_writable
from mmseg.models import EncoderDecoder
from mmseg.registry import Count, Seed

# The imports leave half a million objects that stay. A collection that searches them takes a third
# of a second, and mmengine asks for one per data set.
gc.freeze()

console = Console(stderr=True, markup=False)  # a file may be called [v1]


class KeyValues(argparse.Action):
    """Read arguments KEY=VALUE into a dictionary of `Typed` texts."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *rest
    ) -> None:
        pairs = [text.partition("=") for text in values]
        for key, equals, _ in pairs:
            if not equals:
                raise argparse.ArgumentError(self, f"{key}: write KEY=VALUE")
        typed = {key: Typed(value) for key, _, value in pairs}
        setattr(namespace, self.dest, {**(getattr(namespace, self.dest) or {}), **typed})


def tool_parser(description: str | None) -> argparse.ArgumentParser:
    """Make a parser for a tool, described by the first line of its docstring."""
    return argparse.ArgumentParser(description=(description or "").partition("\n")[0])


def config_parser(description: str | None) -> argparse.ArgumentParser:
    """Make a parser for a tool that reads a config."""
    parser = tool_parser(description)
    text = "a config file, or the name of a shipped one"
    parser.add_argument("config", type=find_config, help=text)
    names, text = ("--cfg-options", "--options"), "keys of the config, as in train_cfg.max_iters=8"
    parser.add_argument(*names, nargs="+", action=KeyValues, metavar="KEY=VALUE", help=text)
    return parser


def find_config(name: str) -> str:
    """Return the path of a config: `name`, or the shipped config that the end of its path names."""
    if not name or Path(name).is_file():
        return name
    # Inside an installed package, or beside the tools of a checkout.
    shipped = [p for each in (HERE, HERE.parent) for p in each.glob("local_configs/**/*.py")]
    found = [path for path in shipped if path.match(name) or path.match(f"{name}.py")]
    return str(found[0]) if len(found) == 1 else name


def _integer(kind: Any) -> Callable[[str], int]:
    words, test = get_args(kind)[1]

    def integer(text: str) -> int:
        if not test(number := int(text)):
            raise argparse.ArgumentTypeError(f"{number}: give {words}")
        return number

    return integer


positive_int, seed = _integer(Count), _integer(Seed)


def run_parser(description: str | None) -> argparse.ArgumentParser:
    """Make a parser for training or testing."""
    parser = config_parser(description)
    add = parser.add_argument
    add("--work-dir", help="where logs and checkpoints go (work_dirs/<config>)")
    default = "pytorch" if "TORCHELASTIC_RUN_ID" in os.environ else "none"
    launchers, text = ("none", "pytorch", "slurm", "mpi"), "who started the processes"
    add("--launcher", choices=launchers, default=default, help=text)
    text = "the GPU of a run with one process"
    add("--gpu-id", "--gpu-ids", type=int, metavar="N", help=text)
    add_rank_flag(parser)
    # Old versions of torch.distributed.launch pass it. Newer ones set a variable.
    add("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)
    return parser


def add_rank_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag that tells the NMF rank of a checkpoint."""
    text = "the NMF rank (MD_R) of the checkpoint, if its file tells none or a wrong one"
    parser.add_argument("--nmf-rank", type=positive_int, metavar="R", help=text)


def add_bands_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag that chooses the bands of a picture."""
    text = "the bands that are shown, one or three names (red green blue, or the first three)"
    parser.add_argument("--bands", nargs="+", metavar="NAME", help=text)


def add_inference_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for mixed precision and the engine of inference."""
    text = "run the network in bfloat16, or float16 on GPUs without it"
    parser.add_argument("--amp", action="store_true", help=text)
    text = "what runs the network; on a CPU, auto takes the fastest that is installed"
    parser.add_argument("--engine", choices=CHOICES, default="auto", help=text)


def parse_model_args(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse arguments in which an exported file may take the place of CONFIG CHECKPOINT."""
    words = sys.argv[1:]
    exported = next((i for i, word in enumerate(words) if is_exported(word)), None)
    if exported is not None:
        words.insert(exported, words[exported])  # as both
    args = parser.parse_args(words)
    if is_exported(args.checkpoint) and not is_exported(args.config):
        parser.error(f"{args.checkpoint} takes the place of the config and the checkpoint")
    return args


def open_model(
    args: argparse.Namespace, device: str | None = None, scores: bool = False
) -> EncoderDecoder | EngineModel:
    """Build the model that the arguments of `parse_model_args` name.

    With `scores`, an exported file that gives classes alone is refused.
    """
    if not is_exported(args.config):
        config = read_config(args)
        if args.amp:
            use_inference_amp(config)
        device = args.device or device
        return init_model(config, args.checkpoint, device, args.nmf_rank, engine=args.engine)
    if args.cfg_options or args.nmf_rank:
        raise UserError(f"{args.config}: has no config to change: leave these options out")
    return load(args.config, args.engine, args.amp, scores)


def read_config(args: argparse.Namespace) -> Config:
    """Read the config that the arguments of `config_parser` name."""
    return load_config(args.config, args.cfg_options)


def read_run_config(args: argparse.Namespace) -> Config:
    """Read the config that the arguments of `run_parser` name, with launcher and work directory.

    Makes the work directory; raises `UserError` when nothing can be written there.
    """
    config = read_config(args)
    config.work_dir = args.work_dir or config.get("work_dir") or default_work_dir(args.config)
    make_writable(config.work_dir)
    config.launcher = args.launcher
    use_rank(config, args.nmf_rank)
    if args.gpu_id is not None and torch.cuda.is_available():
        check_device(f"cuda:{args.gpu_id}")
        torch.cuda.set_device(args.gpu_id)
    return config


def progress(items: Iterable, title: str, total: int | None = None) -> Iterable:
    """Yield items under a progress bar on standard error."""
    return track(items, title, total=total, console=console)


def in_threads(function: Callable, items: Sequence, workers: int, title: str) -> list[Any]:
    """Return what a function gives for each item; threads share the work under a progress bar."""
    # Threads are enough: decoding and counting release the interpreter lock.
    with ThreadPoolExecutor(workers) as pool:
        return list(progress(pool.map(function, items), title, len(items)))


def leave_group() -> None:
    """Leave the group of processes, if there is one.

    Threads of an open group can crash the interpreter at its exit, after the work is done.
    """
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
        gc.collect()  # the wrapper of the model holds the group too
