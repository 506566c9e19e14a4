"""What the tools share: command-line arguments and the set-up of a run."""

import argparse
import gc
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent

# The file is run by its path, because `import mmseg` may find another project's package.
environment = runpy.run_path(str(HERE.parent / "mmseg/environment.py"))
try:
    environment["check_environment"]()
except ImportError as error:
    sys.exit(f"error: {error}")
environment["setup_process"]()

import torch
from mmengine.config import Config, DictAction

from mmseg.config import load_config
from mmseg.config.rank import use_rank
from mmseg.config.values import SEED
from mmseg.engine.prepare import default_work_dir
from mmseg.errors import UserError
from mmseg.files import make_writable

# The imports leave half a million objects that stay. A collection that searches them takes a third
# of a second, and mmengine asks for one per data set.
gc.freeze()

# The shipped configs: inside an installed package, or beside the tools of a checkout.
SHIPPED = next(
    parent / "local_configs"
    for parent in (HERE, HERE.parent)
    if (parent / "local_configs").is_dir()
)


class KeyValues(DictAction):
    """Read arguments KEY=VALUE into a dictionary."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: list, *rest
    ) -> None:
        for text in values:
            if "=" not in text:
                raise argparse.ArgumentError(self, f"{text}: write KEY=VALUE")
        super().__call__(parser, namespace, values, *rest)


def config_parser(
    description: str | None, parents: Sequence[argparse.ArgumentParser] = ()
) -> argparse.ArgumentParser:
    """Make a parser for a tool that reads a config; the arguments of `parents` come first."""
    text = (description or "").partition("\n")[0]
    parser = argparse.ArgumentParser(description=text, parents=parents)
    parser.add_argument(
        "config", type=find_config, help="a config file, or the name of a shipped one"
    )
    parser.add_argument(
        "--cfg-options",
        "--options",
        nargs="+",
        action=KeyValues,
        metavar="KEY=VALUE",
        help="change keys of the config, as in train_dataloader.batch_size=8",
    )
    return parser


def find_config(name: str) -> str:
    """Return the path of a config: `name`, or the shipped config that the end of its path names."""
    if not name or Path(name).is_file():
        return name
    configs = SHIPPED.rglob("*.py")
    found = [path for path in configs if path.match(name) or path.match(f"{name}.py")]
    return str(found[0]) if len(found) == 1 else name


def positive_int(text: str) -> int:
    """Read an argument that is a whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def seed(text: str) -> int:
    """Read an argument that is a seed of numpy and torch."""
    words, test = SEED
    number = int(text)
    if not test(number):
        raise argparse.ArgumentTypeError(f"{number}: give {words}")
    return number


def run_parser(description: str | None) -> argparse.ArgumentParser:
    """Make a parser for training or testing."""
    parser = config_parser(description)
    parser.add_argument("--work-dir", help="where logs and checkpoints go (work_dirs/<config>)")
    parser.add_argument(
        "--launcher",
        choices=("none", "pytorch", "slurm", "mpi"),
        default="pytorch" if "TORCHELASTIC_RUN_ID" in os.environ else "none",
        help="who started the processes; torchrun is recognised",
    )
    parser.add_argument(
        "--gpu-id", "--gpu-ids", type=int, metavar="N", help="the GPU of a run with one process"
    )
    add_rank_flag(parser)
    # Old versions of torch.distributed.launch pass it. Newer ones set a variable.
    parser.add_argument("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)
    return parser


def add_rank_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag that tells the NMF rank of a checkpoint."""
    parser.add_argument(
        "--nmf-rank",
        type=positive_int,
        metavar="R",
        help="the NMF rank (MD_R) of the checkpoint, if its file tells none or a wrong one",
    )


def add_amp_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag for mixed precision in inference."""
    parser.add_argument(
        "--amp",
        action="store_true",
        help="run the network in bfloat16, or float16 on GPUs without it",
    )


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
    if args.gpu_id is not None:
        choose_gpu(args.gpu_id)
    return config


def choose_gpu(index: int) -> None:
    """Run on this GPU. A machine without GPUs runs on the CPU."""
    count = torch.cuda.device_count()
    if count and index >= count:
        raise UserError(f"--gpu-id {index}: this machine has {count} GPUs, counted from 0")
    if count:
        torch.cuda.set_device(index)


def leave_group() -> None:
    """Leave the group of processes, if there is one.

    Threads of an open group can crash the interpreter at its exit, after the work is done.
    """
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
        gc.collect()  # the wrapper of the model holds the group too


def existing_file(path: str, what: str) -> str:
    """Return `path` if it is a file, else raise `UserError`."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such {what}")
    return path
