"""Prove, measure and decide on a CUDA GPU: python tools/bench/gpu.py --out DIR

Writes DIR/gpu.json after every measurement, DIR/table.md at the end, and DIR/log.txt. Each stage is
a process of its own: one that fails, or takes too long, does not end the others.
"""

import argparse
import json
import multiprocessing
import os
import re
import signal
import sys
import traceback
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any

from gpu_stages import STAGES, Stage

from mmseg.errors import one_line_errors, reason
from mmseg.files import make_writable, write_whole
from mmseg.results.tables import markdown

# A switch stays if it makes a training step or a prediction, of T or L, so many times as fast as
# the side that it is compared with, and if no check of its numbers fails.
KEEP = 1.15
# The switch: the side without it, and a pattern of the names of its checks.
SWITCHES = {
    "channels_last": ("eager", "channels_last"),
    "compile": ("eager", "compiled"),
    "graphs": ("eager", "compiled"),
    "fused": ("eager", "fused"),
    "depthwise": ("graphs", "convolution|encoder|weight_gradients"),
    "cross_entropy": ("graphs", "cross_entropy"),
    "class_map": ("graphs", "class_maps"),
}
# What a model on paper predicts for one H200 (docs/gpu.md): ms of the official network in eager
# mode and of the fastest side, and the goal.
EXPECTED = {
    "train-tiny, batch 16": "32.9, 11.1; goal 11.0 (1,450 images/s)",
    "train-large, batch 16": "106, 46.3; goal 46.4 (345 images/s)",
    "infer-tiny, batch 1": "6.0, 0.48; goal: eager / 10",
    "infer-large, batch 1": "14.4, 1.34; goal: eager / 10",
    "infer-tiny, batch 32": "16.6, 6.6",
    "infer-large, batch 32": "59.8, 27.5",
}
LEAST = 5  # seconds left with which a stage still begins
# Stages of the rehearsal alone.
FAILURES = {"raise": (20, lambda _: 1 / 0), "hang": (1, lambda _: sleep(600))}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="DIR")
    add("--minutes", type=float, default=8, help="stages for which no time is left are left out")
    add("--stages", nargs="+", choices=STAGES, default=[*STAGES], metavar="STAGE", help="not all")
    add("--peer-python", metavar="PY", help="the python that has onedl-mmsegmentation")
    add("--camvid", metavar="DIR", help="the data of the stage camvid")
    add("--rehearse", action="store_true", help="tiny sizes on a CPU, and two failures")
    return parser.parse_args()


def read(out: Path) -> list[dict]:
    """Return the rows, each with its stage, what was measured, and values."""
    return json.loads((out / "gpu.json").read_text()) if (out / "gpu.json").exists() else []


def write(out: Path, rows: list[dict]) -> None:
    write_whole(out / "gpu.json", json.dumps(rows, indent=1).encode())


def note(out: Path, stage: str, what: str, **values: Any) -> None:
    """Write a row, in place of one of the same stage and name."""
    others = [row for row in read(out) if (row["stage"], row["what"]) != (stage, what)]
    write(out, [*others, {"stage": stage, "what": what, **values}])


def run_stage(name: str, args: argparse.Namespace, folder: str) -> None:
    """Run a stage in this process, which can be ended together with those that it starts."""
    os.setsid()
    with (args.out / "log.txt").open("a") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    try:
        (STAGES | FAILURES)[name][1](Stage(args, partial(note, args.out, name), folder))
        status = "done"
    except Exception as error:
        traceback.print_exc()
        status = f"failed: {type(error).__name__}: {reason(error)}"
    note(args.out, name, "status", result=status)


def run_apart(name: str, args: argparse.Namespace, limit: float) -> None:
    """Run a stage in a process of its own, and end that after so many seconds."""
    # A CUDA process cannot be forked. In a rehearsal, forking saves the imports.
    context: Any = multiprocessing.get_context("fork" if args.rehearse else "spawn")
    write(args.out, [row for row in read(args.out) if row["stage"] != name])
    note(args.out, name, "status", result="failed: its process ended")
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = context.Process(target=run_stage, args=(name, args, folder))
        process.start()
        try:
            process.join(limit)
        finally:
            is_late = process.is_alive()
            with suppress(ProcessLookupError):  # none is left, or it was still importing
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.join()
    if is_late:
        note(args.out, name, "status", result=f"stopped after {limit:.0f} s")


def times(rows: list[dict]) -> dict[str, dict[str, float]]:
    """Return the ms of each side, by stage and batch, of training steps and predictions."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        side, _, batch = row["what"].partition(", ")
        if row["stage"].startswith(("train-", "infer-")) and "ms" in row:
            found.setdefault(f"{row['stage']}, {batch}", {})[side] = row["ms"]
    return found


def verdict(switch: str, rows: list[dict]) -> str:
    """Return what the rules at the top of this file say of a switch, with the reason."""
    base, pattern = SWITCHES[switch]
    checks = [row for row in rows if "passed" in row and re.search(pattern, row["what"])]
    both = {place: ms for place, ms in times(rows).items() if {base, switch} <= ms.keys()}
    if wrong := [row["what"] for row in checks if not row["passed"]]:
        return f"drop: {wrong[0]} failed"
    if not both or not checks:
        return "not decided: not measured, or its numbers not checked"
    best, place = max((ms[base] / ms[switch], place) for place, ms in both.items())
    word = "keep" if best >= KEEP else "drop"
    return f"{word}: at best {best:.2f} times as fast as {base} ({place})"


def write_table(out: Path, rows: list[dict]) -> None:
    """Write what was expected and measured, the verdicts and all rows to DIR/table.md."""
    found, lines = times(rows), []
    for place, expected in EXPECTED.items():
        measured = [f"{side} {ms:.2f}" for side, ms in found.get(place, {}).items()]
        lines.append((place, expected, ", ".join(measured) or "not measured"))
    tables = [markdown(("stage", "expected ms: eager, fastest", "measured ms"), lines)]
    verdicts = [(each, verdict(each, rows)) for each in SWITCHES]
    tables.append(markdown(("switch", "verdict"), verdicts))
    lines = []
    for row in rows:
        values = [f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()]
        lines.append((row["stage"], row["what"], " ".join(", ".join(values[2:]).split())))
    tables.append(markdown(("stage", "what", "result"), lines))
    write_whole(out / "table.md", "\n".join(tables).encode())


@one_line_errors
def main() -> None:
    args = parse_args()
    make_writable(args.out)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # they take seconds to import
    if args.rehearse:
        os.environ.update(TRITON_INTERPRET="1", TORCH_COMPILE_DISABLE="1")
        args.stages += FAILURES
    end = monotonic() + 60 * args.minutes
    try:
        for name in args.stages:
            left = end - monotonic()
            if left < LEAST:
                break
            run_apart(name, args, min(left, (STAGES | FAILURES)[name][0]))
            sys.stdout.write(f"{name}: {read(args.out)[-1]['result']}\n")
    finally:
        write_table(args.out, rows := read(args.out))
    for switch in SWITCHES:
        sys.stdout.write(f"{switch}: {verdict(switch, rows)}\n")


if __name__ == "__main__":
    main()
