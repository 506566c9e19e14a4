"""A worker's end of the conversation: one line of JSON asks, one line of JSON answers.

The first line is the job; the answer to it comes when everything is built. Each line after it,
{"do": <name of an action>}, runs the action once between two looks at the clock.
"""

import gc
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version

import torch

MEGABYTE = 2**20
MAC = sys.platform == "darwin"  # counts in bytes
Action = Callable[[], dict | None]


def serve(prepare: Callable[[dict], tuple[dict[str, Action], dict]]) -> None:
    """Answer until the parent closes the pipe; `prepare(job)` gives the actions and the versions.

    An action may return more to answer: `count`, how many units of work it did, say. What fails is
    answered with `error`, and ends the worker.
    """
    # A pipe of their own, which the command line names: libraries print to the others.
    answers = os.fdopen(int(sys.argv[1]), "w", buffering=1)
    try:
        job = json.loads(sys.stdin.readline())
        torch.set_num_threads(job["threads"])
        torch.manual_seed(0)
        if ":" in job["device"]:
            torch.cuda.set_device(job["device"])
        actions, versions = prepare(job)
        actions["forget peak"] = partial(forget_peak, job["device"])
        answers.write(json.dumps({"versions": versions}) + "\n")
        for line in sys.stdin:
            done = timed(actions[json.loads(line)["do"]], job["device"])
            answers.write(json.dumps({**done, **memory(job["device"])}) + "\n")
    except Exception as error:
        answers.write(json.dumps({"error": str(error), "kind": type(error).__name__}) + "\n")
        raise


def versions_of(*packages: str) -> dict[str, str]:
    """Return the versions of python, torch and those packages that are installed."""
    found = {"python": platform.python_version(), "torch": str(torch.__version__)}
    for name in packages:
        with suppress(PackageNotFoundError):  # one of OpenCV's other wheels
            found[name] = version(name)
    return found


def timed(action: Action, device: str) -> dict:
    """Run an action; return its `seconds`, the device's work included, and what it returned."""
    synchronise(device)
    start = time.perf_counter()
    result = action() or {}
    synchronise(device)
    return {"seconds": time.perf_counter() - start, **result}


def synchronise(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def memory(device: str) -> dict:
    """Return `rss_mb` now, and since `forget_peak` `peak_rss_mb` and, on a GPU, `peak_cuda_mb`."""
    # Without /proc there is only the peak since the start.
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (MEGABYTE if MAC else 1024)
    found = {"rss_mb": rss, "peak_rss_mb": rss}
    with suppress(OSError), open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
        found["rss_mb"] = int(lines["VmRSS"].split()[0]) / 1024
        found["peak_rss_mb"] = int(lines["VmHWM"].split()[0]) / 1024
    if device.startswith("cuda"):
        # Not what is allocated: running a recorded graph allocates nothing.
        found["peak_cuda_mb"] = torch.cuda.max_memory_reserved(device) / MEGABYTE
    return found


def forget_peak(device: str) -> None:
    """Start the peaks anew, where the system can: what came before may have taken more."""
    gc.collect()
    with suppress(OSError), open("/proc/self/clear_refs", "w") as references:
        references.write("5")
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
