"""What the tools share: command-line arguments and the set-up of a run."""

import argparse
import atexit
import gc
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

# Threads spin while they wait for work, by default for milliseconds, in which they take the core
# from the loader's workers and the network can become twenty times slower; without spinning it
# takes two thirds longer (docs/benchmarks.md). Read once, when torch is imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")

# At its end the interpreter looks through half a million objects for what it could free: two
# seconds.
atexit.register(gc.freeze)

# OpenCV warns of every tag that it does not know, of each GeoTIFF some.
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")

# By its path: `import mmseg` may find another project's package of that name.
environment = runpy.run_path(str(Path(__file__).parents[1] / "mmseg/environment.py"))
try:
    environment["check_environment"]()
except ImportError as error:
    sys.exit(f"error: {error}")
environment["keep_freed_memory"]()

import torch
from mmengine.config import Config, DictAction

from mmseg.config import load_config
from mmseg.config.rank import use_rank
from mmseg.config.values import SEED
from mmseg.engine.run_config import default_work_dir
from mmseg.errors import UserError
from mmseg.files import make_writable

# Half a million objects of what is imported stay. No collection needs to look through them, for a
# third of a second each: mmengine asks for one per data set.
gc.freeze()


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
    """Make a parser with the arguments of every tool that reads a config, after `parents`'."""
    text = (description or "").partition("\n")[0]
    parser = argparse.ArgumentParser(description=text, parents=parents)
    parser.add_argument("config", help="a config file, such as one of local_configs/segnext")
    parser.add_argument(
        "--cfg-options",
        "--options",
        nargs="+",
        action=KeyValues,
        metavar="KEY=VALUE",
        help="change keys of the config, as in train_dataloader.batch_size=8",
    )
    return parser


def positive_int(text: str) -> int:
    """Read an argument that counts something: a whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def seed(text: str) -> int:
    """Read an argument that is the seed of numpy and torch."""
    words, test = SEED
    number = int(text)
    if not test(number):
        raise argparse.ArgumentTypeError(f"{number}: give {words}")
    return number


def run_parser(description: str | None) -> argparse.ArgumentParser:
    """Make a parser with the arguments of training and testing."""
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
    # torch.distributed.launch of old passes it; everyone else sets the variable.
    parser.add_argument("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)
    return parser


def add_rank_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag that settles which NMF rank a checkpoint was trained with."""
    parser.add_argument(
        "--nmf-rank",
        type=positive_int,
        metavar="R",
        help="the checkpoint's NMF rank (MD_R), where it does not tell or is known to be wrong",
    )


def add_amp_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag that `use_inference_amp` obeys."""
    parser.add_argument(
        "--amp",
        action="store_true",
        help="run the network in bfloat16, or float16 on GPUs without it",
    )


def read_config(args: argparse.Namespace) -> Config:
    """Read the config that `config_parser`'s arguments name."""
    return load_config(args.config, args.cfg_options)


def read_run_config(args: argparse.Namespace) -> Config:
    """Read the config that `run_parser`'s arguments name, with launcher and work directory.

    The directory is made; `UserError` when nothing can be written there.
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
    """Run on this GPU; where there is none at all, on the CPU as always."""
    count = torch.cuda.device_count()
    if count and index >= count:
        raise UserError(f"--gpu-id {index}: this machine has {count} GPUs, counted from 0")
    if count:
        torch.cuda.set_device(index)


def leave_group() -> None:
    """Part from the other processes, if any, in order: threads of a group left open at the exit of
    the interpreter can crash it after the work is done.
    """
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
        gc.collect()  # the model's wrapper holds the group too


def existing_file(path: str, what: str) -> str:
    """Return `path` if it is a file, else raise `UserError`."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such {what}")
    return path
