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
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any

from gpu_stages import STAGES, Stage

from mmseg.errors import one_line_errors, reason
from mmseg.files import make_writable, write_whole

# A switch stays if it makes a training step or a prediction, of T or L, so many times as fast as
# the side that it is compared with, and if no check of its numbers fails.
KEEP = 1.15
END_TO_END = ("train-tiny", "infer-tiny", "train-large", "infer-large")
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


def read(out: Path) -> dict[str, dict]:
    """Return the rows, and the status, of each stage."""
    return json.loads((out / "gpu.json").read_text()) if (out / "gpu.json").exists() else {}


def note(out: Path, stage: str, row: dict | None = None, **values: Any) -> None:
    """Add a row, or change what is known, of a stage."""
    stages = read(out)
    content = stages.setdefault(stage, {"rows": []}) | values
    content["rows"] = [*content["rows"], *([row] if row else [])]
    write_whole(out / "gpu.json", json.dumps(stages | {stage: content}, indent=1).encode())


def run_stage(name: str, args: argparse.Namespace, folder: str) -> None:
    """Run a stage in this process, which can be ended together with those that it starts."""
    os.setsid()
    with (args.out / "log.txt").open("a") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    try:
        stage = Stage(args, lambda what, **row: note(args.out, name, {"name": what, **row}), folder)
        (STAGES | FAILURES)[name][1](stage)
        note(args.out, name, status="done")
    except Exception as error:
        traceback.print_exc()
        note(args.out, name, status=f"failed: {type(error).__name__}: {reason(error)}")


def run_apart(name: str, args: argparse.Namespace, limit: float) -> None:
    """Run a stage in a process of its own, and end that after so many seconds."""
    # A CUDA process cannot be forked. In a rehearsal, forking saves the imports.
    context: Any = multiprocessing.get_context("fork" if args.rehearse else "spawn")
    note(args.out, name, rows=[], status="failed: its process ended")
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = context.Process(target=run_stage, args=(name, args, folder))
        process.start()
        try:
            process.join(limit)
        finally:
            is_late = process.is_alive()
            if is_late:
                with suppress(ProcessLookupError):  # it was still importing
                    os.killpg(process.pid, signal.SIGKILL)
                process.kill()
                process.join()
    if is_late:
        note(args.out, name, status=f"stopped after {limit:.0f} s")


def verdict(switch: str, stages: dict[str, dict]) -> str:
    """Return what the rules at the top of this file say of a switch, with the reason."""
    base, pattern = SWITCHES[switch]
    ratios, rows = {}, stages.get("correctness", {"rows": []})["rows"]
    checks = [row for row in rows if "passed" in row and re.search(pattern, row["name"])]
    for stage in END_TO_END:
        times = {r["name"]: r["ms"] for r in stages.get(stage, {"rows": []})["rows"] if "ms" in r}
        for name, time in times.items():
            side, _, batch = name.partition(", ")
            if side == switch and f"{base}, {batch}" in times:
                ratios[times[f"{base}, {batch}"] / time] = f"{stage}, {batch}"
    if wrong := [row["name"] for row in checks if not row["passed"]]:
        return f"drop: {wrong[0]} failed"
    if not ratios or not checks:
        return "not decided: not measured, or its numbers not checked"
    best = max(ratios)
    word = "keep" if best >= KEEP else "drop"
    return f"{word}: at best {best:.2f} times as fast as {base} ({ratios[best]})"


def write_table(out: Path, stages: dict[str, dict]) -> None:
    """Write all rows and the verdicts to DIR/table.md."""
    lines = ["| stage | what | result |", "|---|---|---|"]
    for stage, content in stages.items():
        lines.append(f"| {stage} | | {content['status']} |")
        for row in content["rows"]:
            values = (
                f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                for key, value in row.items()
                if key != "name"
            )
            lines.append(f"| {stage} | {row['name']} | {', '.join(values)} |")
    lines += ["", "| switch | verdict |", "|---|---|"]
    lines += [f"| {switch} | {verdict(switch, stages)} |" for switch in SWITCHES]
    write_whole(out / "table.md", "\n".join([*lines, ""]).encode())


@one_line_errors
def main() -> None:
    args = parse_args()
    make_writable(args.out)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    if args.rehearse:  # ... without a compiler, which takes minutes
        os.environ.update(TRITON_INTERPRET="1", TORCH_COMPILE_DISABLE="1")
        args.stages += FAILURES
    end = monotonic() + 60 * args.minutes
    try:
        for name in args.stages:
            left = end - monotonic()
            if left < LEAST:
                break
            run_apart(name, args, min(left, (STAGES | FAILURES)[name][0]))
            sys.stdout.write(f"{name}: {read(args.out)[name]['status']}\n")
    finally:
        write_table(args.out, stages := read(args.out))
    for switch in SWITCHES:
        sys.stdout.write(f"{switch}: {verdict(switch, stages)}\n")


if __name__ == "__main__":
    main()
