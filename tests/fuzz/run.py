"""Feed damaged and hostile inputs to the readers: python tests/fuzz/run.py --count 2000

Each case must end in a one-line `UserError` that names the file, or in a right result. It runs in a
process of its own, so that a crash, a hang and a flood of memory are seen too. Inputs that end
otherwise are kept in --keep.
"""

import argparse
import faulthandler
import json
import os
import resource
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from kinds import KINDS, Kind
from mutations import mutate

from mmseg.errors import UserError

TIME_LIMIT = 20  # seconds
MEMORY_LIMIT = 1 << 20  # KiB above what the process has before the case
SPACE_LIMIT = 16 << 30  # bytes of address space: protects the machine
ENDINGS = ("refused", "right")


def cases(kind: Kind, count: int, seed: int) -> Iterator[bytes]:
    """Yield the hostile inputs, then the originals, then damaged ones, `count` in all."""
    originals = kind.originals()
    fixed = [*kind.hostile(), *originals][:count]
    yield from fixed
    for number in range(count - len(fixed)):
        rng = np.random.default_rng((seed, number))
        yield mutate(rng, originals[int(rng.integers(len(originals)))], kind.mutations)


def run_case(kind: Kind, data: bytes) -> str:
    """Return how a case ends: one of ENDINGS, or what is wrong with it."""
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryFile("w+") as report:
        child = os.fork()
        if child == 0:
            _child(kind, data, Path(name), report.fileno())
        _, status = os.waitpid(child, 0)
        report.seek(0)
        ending = report.read()
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return "hangs" if number == signal.SIGALRM else f"dies of signal {number}"
    return ending


def _resident() -> int:
    """Return the memory this process has now, in KiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() >> 10


def _child(kind: Kind, data: bytes, folder: Path, report: int) -> None:
    os.chdir(folder)
    faulthandler.disable()  # a crash is reported by its signal
    signal.alarm(TIME_LIMIT)
    resource.setrlimit(resource.RLIMIT_AS, (SPACE_LIMIT, SPACE_LIMIT))
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    path = folder / f"case{kind.suffix}"
    path.write_bytes(data)
    before = _resident()
    try:
        ending = _ending(kind, path)
    except BaseException as error:
        ending = f"{type(error).__name__}: {error}"
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    if used > MEMORY_LIMIT:
        ending = f"takes {used >> 10} MiB"
    os.write(report, ending.encode(errors="replace"))
    os._exit(0)


def _ending(kind: Kind, path: Path) -> str:
    try:
        kind.consume(path)
        ending = "right"
    except UserError as error:
        message = str(error)
        ending = "refused"
        if str(path.parent) not in message or len(message.splitlines()) != 1 or len(message) > 1000:
            ending = f"a message that does not help: {message[:300]!r}"
    strays = [p.name for p in path.parent.rglob("*") if p.name == "canary" or ".part" in p.name]
    return f"leaves {', '.join(strays)}" if strays else ending


def fuzz(kind_name: str, count: int, seed: int, keep: Path | None = None) -> Counter:
    """Run the cases of a kind; return how many ended in which way."""
    endings: Counter = Counter()
    kind = KINDS[kind_name]
    for number, data in enumerate(cases(kind, count, seed)):
        ending = run_case(kind, data)
        endings[ending] += 1
        if keep and ending not in ENDINGS:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{kind_name}_{seed}_{number}{kind.suffix}").write_bytes(data)
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
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        results = {
            name: fuzz(name, args.count // len(args.kinds), args.seed, keep) for name in args.kinds
        }
    sys.stdout.write(json.dumps(results, indent=1) + "\n")
    sys.exit(any(set(endings) - set(ENDINGS) for endings in results.values()))


if __name__ == "__main__":
    main()
