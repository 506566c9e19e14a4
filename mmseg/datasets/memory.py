"""How much memory this machine, or this container, can still give."""

import re
import sys
from contextlib import suppress
from pathlib import Path

MACHINE = Path("/proc/meminfo")
CONTAINER = Path("/sys/fs/cgroup")


def available_memory() -> int:
    """Return the bytes that are free or can be freed; a huge number if the system does not tell.

    Linux tells it. The limit of a container counts if it has one (control groups, version 2).
    """
    available = sys.maxsize
    with suppress(OSError):
        found = re.search(r"MemAvailable: *(\d+) kB", MACHINE.read_text())
        available = int(found[1]) * 1024 if found else available
    with suppress(OSError, ValueError):  # ValueError: the limit is "max"
        limit = int((CONTAINER / "memory.max").read_text())
        cached = re.search(r"inactive_file (\d+)", (CONTAINER / "memory.stat").read_text())
        used = int((CONTAINER / "memory.current").read_text())
        available = min(available, limit - used + int(cached[1] if cached else 0))
    return available
