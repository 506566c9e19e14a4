"""The process and what else is installed: memory, rivals for our names, broken torchvisions."""

import ctypes
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, distribution

# Each of these installs files under the name `mmseg`, `mmcv` or `mmengine`.
RIVALS = {
    "mmsegmentation": "segnext",
    "onedl-mmsegmentation": "segnext",
    "mmcv": "onedl-mmcv",
    "mmcv-full": "onedl-mmcv",
    "mmcv-lite": "onedl-mmcv",
    "mmengine": "onedl-mmengine",
    "mmengine-lite": "onedl-mmengine",
}


def check_environment() -> None:
    """Raise ImportError naming what to uninstall when another package overwrites one of ours."""
    rivals = [name for name in RIVALS if _installed(name)]
    if rivals:
        # Removing the rival also removes the files that both wrote.
        mend = " ".join(sorted({RIVALS[name] for name in rivals} - {"segnext"}))
        again = f" && pip install --force-reinstall --no-deps {mend}" if mend else ""
        raise ImportError(
            f"{', '.join(rivals)} and SegNeXt use the same import names: run "
            f"`pip uninstall -y {' '.join(rivals)}{again}`, or use an environment of its own"
        )


def _installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def hide_broken_torchvision() -> None:
    """Make a torchvision that does not match torch look absent.

    mmengine reports its version at the start of a run and survives only that it is not there;
    pip pairs the CPU build of torch with a torchvision built for CUDA, whose import fails.
    """
    try:
        import torchvision  # noqa: F401
    except Exception:  # whatever its binary part raises
        sys.modules["torchvision"] = None  # type: ignore[assignment]


# Parameters of glibc's mallopt, from malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> None:
    """Let glibc keep the memory of freed tensors for the next ones.

    It returns every block of more than 32 MiB to the kernel, which has to hand out zeroed pages at
    the next allocation: a quarter of a training step on a CPU. The process stays as large as it
    was at its peak. Whoever sets one of malloc's own variables decides instead.
    """
    chosen = (
        any(name.startswith("MALLOC_") for name in os.environ) or "GLIBC_TUNABLES" in os.environ
    )
    if platform.libc_ver()[0] != "glibc" or chosen:
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, -1)
    mallopt(M_TOP_PAD, 2**28)


def keep_memory_of_images() -> None:
    """Let glibc keep up to 64 MiB of freed memory, enough for the maps of an image.

    As it comes, it can return them to the kernel after every image. It adapts to the largest block
    of less than 32 MiB that a process frees, and keeps twice as much: so one is freed here. Nothing
    changes where malloc is configured, by its variables or `keep_freed_memory`.
    """
    bytearray(2**25 - 2**16)
