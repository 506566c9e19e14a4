"""What else is installed: rivals for the same import names, and a torchvision that cannot work."""

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
