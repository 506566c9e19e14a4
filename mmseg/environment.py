"""The set-up of a process, and packages that get in our way."""

import atexit
import ctypes
import gc
import os
import platform
import sys
from importlib.metadata import distributions

# Each package on the left installs files under the name `mmseg`, `mmcv` or `mmengine`, and so
# overwrites files of the package on the right.
RIVALS = {
    **dict.fromkeys(("mmsegmentation", "onedl-mmsegmentation"), "segnext"),
    **dict.fromkeys(("mmcv", "mmcv-full", "mmcv-lite"), "onedl-mmcv"),
    **dict.fromkeys(("mmengine", "mmengine-lite"), "onedl-mmengine"),
}

# How often a waiting thread of OpenMP looks for work before it sleeps.
SPINS = "5000"


def setup_process() -> None:
    """Set threads, memory and log levels of a tool's process; call it before torch is imported.

    Environment variables that the user has set stay as they are.
    """
    # A waiting thread spins, by default for milliseconds, and so takes the core from the loader's
    # workers and from other processes: training can become twenty times slower. Without any
    # spinning it takes two thirds longer. torch reads this variable once, when it is imported.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    # OpenCV warns of every tag that it does not know. Each GeoTIFF has some.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    keep_freed_memory()
    # At its end Python searches half a million objects for garbage, which takes two seconds.
    atexit.register(gc.freeze)


def check_environment() -> None:
    """Raise ImportError that says what to uninstall if another package overwrites our files."""
    rivals = [name for name in RIVALS if any(distributions(name=name))]
    if rivals:
        # Removing the rival also removes the files that both packages wrote.
        mend = " ".join(sorted({RIVALS[name] for name in rivals} - {"segnext"}))
        again = f" && pip install --force-reinstall --no-deps {mend}" if mend else ""
        raise ImportError(
            f"{', '.join(rivals)} and SegNeXt use the same import names: run "
            f"`pip uninstall -y {' '.join(rivals)}{again}`, or use an environment of its own"
        )


def hide_broken_torchvision() -> None:
    """Make a torchvision that does not match torch look absent.

    pip can pair the CPU build of torch with a torchvision built for CUDA, and its import then
    fails. mmengine reports torchvision's version at the start of a run. It copes with an absent
    torchvision, but not with a broken one.
    """
    try:
        import torchvision  # noqa: F401
    except Exception:  # its binary part can raise anything
        sys.modules["torchvision"] = None  # type: ignore[assignment]


def keep_freed_memory() -> None:
    """Let glibc keep the memory of freed tensors for the next ones.

    By default glibc returns every block of more than 32 MiB to the kernel. The next allocation then
    waits for zeroed pages, which takes a quarter of a training step on a CPU. The process stays as
    large as it was at its peak. If one of malloc's own variables is set, nothing is changed.
    """
    chosen = "GLIBC_TUNABLES" in os.environ or any(n.startswith("MALLOC_") for n in os.environ)
    if platform.libc_ver()[0] != "glibc" or chosen:
        return
    # M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_MAX of malloc.h
    for parameter, value in ((-1, -1), (-2, 2**28), (-4, 0)):
        ctypes.CDLL(None).mallopt(parameter, value)


def give_back_freed_memory() -> None:
    """Let glibc return all freed memory to the kernel, such as that of a model after its copy."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def keep_memory_of_images() -> None:
    """Let glibc keep up to 64 MiB of freed memory, which is enough for the maps of an image.

    By default it can return them to the kernel after every image. It adapts to the largest block of
    less than 32 MiB that a process frees, and keeps twice as much. This function frees such a
    block. It changes nothing where malloc is configured, by its variables or `keep_freed_memory`.
    """
    bytearray(2**25 - 2**16)
