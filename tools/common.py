"""What the tools share: command-line arguments and the set-up of a run."""

import argparse
import gc
import inspect
import os
import re
import runpy
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

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
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmseg.apis import check_device, init_model
from mmseg.checkpoints.hub import is_hub
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


def key_value(text: str) -> tuple[str, Typed]:
    """Read an argument KEY=VALUE."""
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{key}: write KEY=VALUE")
    return key, Typed(value)


def find_config(name: str) -> str:
    """Return the path of a config: `name`, or the shipped config that the end of its path names."""
    if not name or Path(name).is_file():
        return name
    # Inside an installed package, or beside the tools of a checkout.
    shipped = [p for each in (HERE, HERE.parent) for p in each.glob("local_configs/**/*.py")]
    found = [path for path in shipped if path.match(name) or path.match(f"{name}.py")]
    return str(found[0]) if len(found) == 1 else name


def _integer(kind: Any) -> Callable[[str], int]:
    _, words, test = get_args(kind)

    def integer(text: str) -> int:
        if not test(number := int(text)):
            raise argparse.ArgumentTypeError(f"{number}: give {words}")
        return number

    return integer


positive_int, seed = _integer(Count), _integer(Seed)

# The arguments of a tool that runs a model, and of a training or a test.
MODEL = ("config", "checkpoint", "--nmf-rank", "--device", "--amp", "--engine")
RUN = ("config", "--work-dir", "--launcher", "--gpu-id", "--local_rank", "--nmf-rank", "--amp")


def tool_parser(description: str | None, *wanted: str) -> argparse.ArgumentParser:
    """Make a parser with the first line of a tool's docstring and the arguments that tools share.

    `wanted` names those of the tool.
    """
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])

    def add(*names: str, **keywords: Any) -> None:
        if names[0] in wanted:
            parser.add_argument(*names, **keywords)

    add("config", type=find_config, help="a config file, or the name of a shipped one")
    if "config" in wanted:
        names, text = ("--cfg-options", "--options"), "its keys, as in train_cfg.max_iters=8"
        pairs: dict[str, Any] = {"nargs": "+", "type": key_value, "action": "extend", "default": []}
        parser.add_argument(*names, metavar="KEY=VALUE", help=text, **pairs)
    add("checkpoint")
    add("--work-dir", help="where logs and checkpoints go (work_dirs/<config>)")
    launchers = ("none", "pytorch", "slurm", "mpi")
    default = "pytorch" if "TORCHELASTIC_RUN_ID" in os.environ else "none"
    add("--launcher", choices=launchers, default=default, help="who started the processes")
    add("--gpu-id", "--gpu-ids", type=int, metavar="N", help="the GPU of a single process")
    # Old versions of torch.distributed.launch pass it. Newer ones set a variable.
    add("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)
    text = "the NMF rank (MD_R) of the checkpoint, if its file tells none or a wrong one"
    add("--nmf-rank", type=positive_int, metavar="R", help=text)
    add("--device", help="cuda:0 or cpu; the first GPU if there is one")
    add("--amp", action="store_true", help="bfloat16, or float16 on GPUs without it")
    text = "what runs the network; on a CPU, auto takes the fastest that is installed"
    add("--engine", choices=CHOICES, default="auto", help=text)
    text = "the bands that are shown, one or three names (red green blue, or the first three)"
    add("--bands", nargs="+", metavar="NAME", help=text)
    add("--opacity", type=float, default=0.5, help="of the overlays, 0 to 1")
    add("--workers", type=positive_int, default=2, help="threads that read")
    add("--seed", type=seed, default=0, help="of everything random")
    return parser


def add_fields(parser: argparse.ArgumentParser, options: type, **changes: dict[str, Any]) -> None:
    """Add a flag for each field of a dataclass, with the help of its docstring.

    `changes` are other keywords of `add_argument` for the flags of single fields.
    """
    lines = re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", inspect.getdoc(options) or "", re.M)
    help_of = {name: " ".join(text.split()).replace("%", "%%") for name, text in lines}
    hints = get_type_hints(options)
    for field in fields(options):
        hint = hints[field.name]
        kind = get_args(hint)[0] if get_origin(hint) is UnionType else hint  # of KIND | None
        keywords: dict[str, Any] = {"default": field.default, "help": help_of.get(field.name)}
        if kind is bool:
            keywords["action"] = "store_true"
        elif several := get_args(kind):
            keywords |= {"type": several[0], "nargs": "+" if len(several) == 1 else len(several)}
        else:
            keywords["type"] = kind
        keywords |= {"dest": field.name, **changes.get(field.name, {})}
        flag = keywords.pop("flag", "--" + field.name.replace("_", "-"))
        parser.add_argument(flag, **keywords)


def read_fields(args: argparse.Namespace, options: type) -> Any:
    """Make the options of the flags that `add_fields` added."""
    return options(**{field.name: getattr(args, field.name) for field in fields(options)})


def parse_model_args(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse arguments in which an exported file or `hf-hub:...` may be CONFIG CHECKPOINT."""
    words = sys.argv[1:]
    both = [word for word in words if is_exported(word) or is_hub(word)][:1]
    for word in both:
        words.insert(words.index(word), word)
    args = parser.parse_args(words)
    if args.checkpoint in both and args.config not in both:
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
    """Read the config that the arguments name."""
    return load_config(args.config, dict(args.cfg_options))


def read_run_config(args: argparse.Namespace) -> Config:
    """Read the config that the arguments name, with launcher and work directory.

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


def progress_bar(shown: bool = True) -> Progress:
    """Make a progress bar on standard error."""
    columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    text = TextColumn("{task.description}")
    return Progress(text, *columns, console=console, disable=not shown)


def progress(items: Iterable, title: str, total: int | None = None) -> Iterable:
    """Yield items under a progress bar."""
    with progress_bar() as bar:
        yield from bar.track(items, total, description=title)


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
