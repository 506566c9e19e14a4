"""What is common to all sides of a measurement."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

import mmseg
from mmseg.apis import check_device
from mmseg.errors import UserError
from mmseg.ops.precision import cpu_computes_in

# What `environment.keep_freed_memory` sets in the tools, as variables, which all sides understand.
TUNED_MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**40),
    "MALLOC_TOP_PAD_": str(256 * 2**20),
}


@dataclass(frozen=True)
class Settings:
    """How to measure; `batches` replaces each part's own batch sizes, `amp` is bf16 or fp16."""

    device: str
    threads: int
    amp: str | None = None
    compile: bool = False
    batches: Sequence[int] | None = None
    size: tuple[int, int] = (512, 512)
    runs: int = 10
    warm_up: int = 2
    malloc: str = "default"

    def __post_init__(self) -> None:
        if self.runs < 1 or min(self.size) < 32 or min(self.batches or [1]) < 1:
            raise UserError("--runs and --batch start at 1, --size at 32 32")
        if self.device.partition(":")[0] not in ("cpu", "cuda"):
            raise UserError(f"--device {self.device}: give cpu, cuda or cuda:N")
        check_device(self.device)
        if self.amp is not None:
            check_amp(self.amp, self.device)

    def environment(self) -> dict[str, str]:
        """Return the variables of a side's process: the same threads and allocator for all."""
        dropped = ("MALLOC_", "GLIBC_TUNABLES", "OMP_", "GOMP_", "PYTHONPATH", "PYTHONHOME")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
        threads = {"OMP_NUM_THREADS": str(self.threads)}
        return kept | threads | (TUNED_MALLOC if self.malloc == "tuned" else {})

    def title(self) -> str:
        """Return what every number of the table shares."""
        return (
            f"{device_name(self.device)}, {self.threads} threads (training samples: 1), "
            f"{self.size[0]}x{self.size[1]}, {self.malloc} malloc, medians, 20th and 80th "
            f"percentiles of {self.runs} alternating runs after {self.warm_up}"
        )

    def as_dict(self) -> dict:
        """Return all settings and the name of the device."""
        return {**asdict(self), "device_name": device_name(self.device)}


def own_path() -> str:
    """Return a PYTHONPATH for this project: where this `mmseg` is, and what the tool runs with."""
    return os.pathsep.join(
        filter(None, [str(Path(mmseg.__file__).parents[1]), os.environ.get("PYTHONPATH")])
    )


def check_amp(amp: str, device: str) -> None:
    """Raise `UserError` when the device would only emulate the type."""
    if device.startswith("cuda"):
        able = amp == "fp16" or torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        able = cpu_computes_in(amp)
    if not able:
        raise UserError(f"--amp {amp}: {device_name(device)} does not compute in it")


def device_name(device: str) -> str:
    """Return the name of the GPU or the processor."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "CPU"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "CPU"
