"""Kill a training run at random moments, resume it each time, and compare it with an untouched one.

    python tests/chaos/kill_and_resume.py --kills 50

Every second kill waits for a save and comes in its midst. Each life of the run has another number
of loader workers. The run must end with every tensor of its checkpoints and every logged loss equal
to those of a run that nobody touched.
"""

import argparse
import importlib
import json
import os
import random
import runpy
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")
ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tools"), str(ROOT / "tests")]

import torch
from tiny_project import write_project

from mmseg.checkpoints.files import read_checkpoint

torch.set_num_threads(1)  # where torch was imported before
# Once here, not in every life of the run.
for name in ("matplotlib.pyplot", "mmseg.config", "mmseg.engine", "torch._dynamo"):
    importlib.import_module(name)

TIMES = ("time", "data_time", "memory")
# Dropped paths and smoothed weights, so that both are seen to go on where they were.
EXTRAS = """
model["backbone"].update(drop_path_rate=0.3)
custom_hooks = [dict(type="EMAHook", momentum=0.1)]
train_cfg.update(max_iters={iters}, val_interval=4)
param_scheduler = [dict(type="PolyLR", power=1.0, by_epoch=False, begin=0, end={iters} + 1)]
default_hooks["checkpoint"] = dict(interval=2)
"""


def start(folder: Path, work_dir: str, workers: int) -> int:
    """Train in a process of its own, forked from this one, which has imported everything."""
    pid = os.fork()
    if pid:
        return pid
    os.chdir(folder)
    log = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["train.py", "tiny.py", "--work-dir", work_dir, "--resume"]
    sys.argv += ["--cfg-options", f"train_dataloader.num_workers={workers}"]
    try:
        runpy.run_path(str(ROOT / "tools/train.py"), run_name="__main__")
    except BaseException as error:
        print(repr(error), flush=True)
        os._exit(1)
    os._exit(0)


def ended(pid: int) -> bool:
    done, status = os.waitpid(pid, os.WNOHANG)
    if done and status not in (0, signal.SIGKILL):
        sys.exit(f"the training run failed with status {status}: see output.txt")
    return bool(done)


def kill_in_a_save(work_dir: Path, pid: int, rng: random.Random) -> bool | None:
    """Kill when the file of a save is there; None when the run ended before."""
    skip, seen = rng.randrange(4), None
    while not ended(pid):
        parts = {path.name for path in work_dir.glob(".*.part.pth")}
        if parts and parts != seen:
            seen, skip = parts, skip - 1
            if skip < 0:
                time.sleep(rng.uniform(0, 0.004))
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return any(work_dir.glob(".*.part.pth"))
        time.sleep(0.0002)
    return None


def kill_at_random(pid: int, longest: float, rng: random.Random) -> bool | None:
    end = time.monotonic() + rng.uniform(0.1, longest)
    while not ended(pid):
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return False
        time.sleep(0.005)
    return None


def run_through(folder: Path, work_dir: str) -> None:
    pid = start(folder, work_dir, workers=0)
    while not ended(pid):
        time.sleep(0.02)


def losses(work_dir: Path) -> dict[int, set]:
    """What the lives of a run logged of each iteration: sets of one element when they agree."""
    logged: dict[int, set] = {}
    for path in work_dir.glob("*/vis_data/*.json"):
        for line in path.read_text().splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue  # cut by a kill
            if "loss" in entry:
                values = tuple((k, v) for k, v in sorted(entry.items()) if k not in TIMES)
                logged.setdefault(entry["step"], set()).add(values)
    return logged


def leaves(value, where=""):
    if isinstance(value, dict):
        for key, item in value.items():
            if not (where.endswith("log_scalars") and key.endswith(TIMES)):
                yield from leaves(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from leaves(item, f"{where}[{i}]")
    elif hasattr(value, "data") and not isinstance(value, torch.Tensor):
        yield where, tuple(array.tobytes() for array in value.data)  # a history of logged values
    else:
        yield where, value.numpy().tobytes() if isinstance(value, torch.Tensor) else value


def state(path: Path) -> dict:
    """All that must be equal: not the times, nor the paths and versions of `meta`."""
    content = read_checkpoint(path)
    info = content["message_hub"]["runtime_info"]
    content["message_hub"]["runtime_info"] = {"best_score": info.get("best_score")}
    del content["meta"], content["message_hub"]["resumed_keys"]
    return dict(leaves(content))


def compare(reference: Path, other: Path) -> int:
    """Return how many values were compared; leave with what differs."""
    files = {path.name for path in reference.glob("*.pth")}
    if files != {path.name for path in other.glob("*.pth")}:
        sys.exit(f"other files than {sorted(files)}: {sorted(p.name for p in other.glob('*.pth'))}")
    count = 0
    for name in sorted(files):
        wanted, found = state(reference / name), state(other / name)
        wrong = [key for key in wanted if wanted[key] != found.get(key)]
        if wrong or wanted.keys() != found.keys():
            sys.exit(f"{name}: {len(wrong)} values differ, such as {wrong[:3]}")
        count += len(wanted)
    expected, logged = losses(reference), losses(other)
    wrong = [step for step in expected if logged.get(step) != expected[step]]
    if wrong:
        sys.exit(f"the losses of iterations {wrong} differ")
    return count + len(expected)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--iters", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_project(folder, EXTRAS.format(iters=args.iters))
        begin = time.monotonic()
        run_through(folder, "untouched")
        length = time.monotonic() - begin
        kills = in_saves = runs = 0
        while kills < args.kills:
            runs += 1
            work_dir, alive = f"killed{runs}", True
            while alive and kills < args.kills:
                pid = start(folder, work_dir, workers=rng.choice((0, 0, 2)))
                killed = (
                    kill_in_a_save(folder / work_dir, pid, rng)
                    if kills % 2
                    else kill_at_random(pid, length / 2, rng)
                )
                alive = killed is not None
                kills += alive
                in_saves += bool(killed)
            run_through(folder, work_dir)
            compared = compare(folder / "untouched", folder / work_dir)
        print(
            f"survived {kills} kills, {in_saves} of them in a save, in {runs} runs of {args.iters} "
            f"iterations; the last {compared} values compared are equal"
        )


if __name__ == "__main__":
    main()
