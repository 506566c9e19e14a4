"""Feed damaged and hostile inputs to the readers: python tests/fuzz/run.py --count 2000

Each input must end in a `UserError` of one line that names the file, or in a right result. It is
read in a process of its own, so that a crash, a hang and too much memory are seen too. Hypothesis
shrinks an input that ends otherwise; --keep keeps the smallest of each ending.
"""

import argparse
import faulthandler
import os
import resource
import signal
import sys
import tempfile
import zlib
from collections import Counter
from contextlib import suppress
from pathlib import Path

import torch
from hypothesis import HealthCheck, Phase, example, given, seed, settings
from hypothesis.errors import Flaky
from mutations import damaged
from readers import KINDS, Kind

from mmseg.errors import UserError

TIME_LIMIT = 20  # seconds of computing
MEMORY_LIMIT = 1 << 20  # KiB above what the process has before the input is read
SPACE_LIMIT = 16 << 30  # bytes of address space: protects the machine
ENDINGS = {"refused", "right"}


def ending_of(kind: Kind, data: bytes) -> str:
    """Read an input in a process of its own; return one of ENDINGS, or what is wrong."""
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryFile("w+") as report:
        child = os.fork()
        if child == 0:
            _be_child(kind, data, Path(name), report.fileno())
        number = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        report.seek(0)
        if -number in (signal.SIGALRM, signal.SIGXCPU):
            return "hangs"
        return f"dies of signal {-number}" if number else report.read()


def _be_child(kind: Kind, data: bytes, folder: Path, report: int) -> None:
    os.chdir(folder)
    faulthandler.disable()  # the signal says enough
    signal.alarm(10 * TIME_LIMIT)  # for a process that waits
    resource.setrlimit(resource.RLIMIT_CPU, (TIME_LIMIT, TIME_LIMIT + 1))
    resource.setrlimit(resource.RLIMIT_AS, (SPACE_LIMIT, SPACE_LIMIT))
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    path = folder / f"case{kind.suffix}"
    path.write_bytes(data)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    before = pages * resource.getpagesize() >> 10
    ending = "right"
    try:
        kind.read(path)
    except UserError as error:
        text = str(error)
        helps = str(folder) in text and len(text.splitlines()) == 1 and len(text) <= 1000
        ending = "refused" if helps else f"a message that does not help: {text[:300]!r}"
    except BaseException as error:
        ending = f"{type(error).__name__}: {error}"
    if strays := [p.name for p in folder.rglob("*") if p.name == "canary" or ".part" in p.name]:
        ending = f"leaves {', '.join(strays)}"
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    ending = f"takes {used >> 10} MiB" if used > MEMORY_LIMIT else ending
    os.write(report, ending.encode(errors="replace"))
    os._exit(0)


def fuzz(name: str, count: int, number: int, keep: Path | None = None) -> Counter:
    """Read all hostile and valid inputs of a kind and damaged ones, `count` in all.

    Returns how many ended in which way; some are read more than once if one ends badly.
    """
    kind = KINDS[name]()
    with tempfile.TemporaryDirectory() as folder, suppress(UserError):
        path = Path(folder, f"case{kind.suffix}")
        path.write_bytes(kind.valid[0])
        kind.read(path)  # what it imports is there in the processes, too
    fixed = [*kind.hostile, *kind.valid]
    endings: Counter = Counter()

    def check(data: bytes) -> None:
        ending = ending_of(kind, data)
        endings[ending] += 1
        if keep and ending not in ENDINGS:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{name}_{zlib.crc32(ending.encode()):08x}{kind.suffix}").write_bytes(data)
        assert ending in ENDINGS, ending

    test = given(damaged(kind.valid, kind.is_text))(check)
    for data in fixed:
        test = example(data)(test)
    many = settings(
        max_examples=max(1, count - len(fixed)),
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        database=None,
        deadline=None,
    )
    with suppress(AssertionError, Flaky):  # `endings` has them
        seed(number)(many(test))()
    return endings


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=2000, help="of all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--keep", type=Path, help="a folder for the inputs that end badly")
    args = parser.parse_args()

    torch.set_num_threads(1)  # a forked process has none of the threads of its parent
    keep = args.keep.absolute() if args.keep else None
    good = True
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in args.kinds:
            endings = fuzz(name, args.count // len(args.kinds), args.seed, keep)
            sys.stdout.write(f"{name}: {dict(endings)}\n")
            good = good and set(endings) <= ENDINGS
    sys.exit(not good)


if __name__ == "__main__":
    main()
