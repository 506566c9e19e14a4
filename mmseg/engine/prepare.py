"""The config and the process of a run, before mmengine's runner is built."""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.distributed
from mmengine.config import Config
from mmengine.logging import MMLogger
from torch.distributed import PrefixStore

from mmseg.environment import hide_broken_torchvision
from mmseg.errors import UserError
from mmseg.models.segmentor import WHOLE
from mmseg.ops import triton
from mmseg.ops.device import by_default, cpu_computes_in, half_dtype

# Each section of a group needs the others.
TOGETHER = (
    ("train_dataloader", "train_cfg", "optim_wrapper"),
    *((f"{split}_dataloader", f"{split}_cfg", f"{split}_evaluator") for split in ("val", "test")),
)
# The keys that a section needs.
NEEDED = {
    "model": ("type", "backbone", "decode_head", "data_preprocessor"),
    **{f"{split}_dataloader": ("dataset", "sampler") for split in ("train", "val", "test")},
}


def default_work_dir(config: str) -> str:
    """Return work_dirs/<name of the config>."""
    return str(Path("work_dirs") / Path(config).stem)


def check_complete(config: Config) -> None:
    """Raise `UserError` for a section that lacks, or a key that a section lacks."""
    for names in (("model",), *TOGETHER):
        lacking = [name for name in names if config.get(name) is None]
        if lacking and (names == ("model",) or len(lacking) < len(names)):
            raise UserError(f"{config.filename}: has no {' and no '.join(lacking)}")
    for section, keys in NEEDED.items():
        content = config.get(section)
        if isinstance(content, Mapping) and content.get("type") == "SegTTAModel":
            content = content.get("module")
        for key in keys if isinstance(content, Mapping) else ():
            if key not in content:
                raise UserError(f"{config.filename}: {section} has no {key!r}")


def use_amp(config: Config) -> None:
    """Switch a training config to mixed precision: bfloat16, or float16 on GPUs without it."""
    _warn_if_emulated()
    if half_dtype("cuda" if torch.cuda.is_available() else "cpu") == torch.float16:
        config.optim_wrapper.type = "AmpOptimWrapper"
        config.optim_wrapper.loss_scale = "dynamic"
    else:
        config.optim_wrapper.type = "BFloat16OptimWrapper"
        for key in ("loss_scale", "dtype"):  # they belong to float16
            config.optim_wrapper.pop(key, None)


def use_inference_amp(config: Config) -> None:
    """Let the config's model predict in the same mixed precision; maps and scores stay float32."""
    _warn_if_emulated()
    config.model.test_cfg = {**(config.model.get("test_cfg") or WHOLE), "amp": True}


def _warn_if_emulated() -> None:
    if not torch.cuda.is_available() and not cpu_computes_in("bf16"):
        MMLogger.get_current_instance().warning(
            "mixed precision: this processor has no instructions for bfloat16, which makes it "
            "several times slower than float32"
        )


def prepare_process(config: Config) -> None:
    """Set up warnings, determinism, Triton and, without a GPU, the process group of a run.

    Raises `UserError` for a launcher that needs GPUs where there are none.
    """
    # No user can act on these: mmengine's of a name that not every torch has anew, and torch's of
    # gradients that lie otherwise than their parameter in dimensions of size 1.
    texts = "Setting MKL_NUM_THREADS|`broadcast_buffers` is deprecated|Grad strides do not match"
    warnings.filterwarnings("ignore", message=texts)
    hide_broken_torchvision()
    triton.enable(config.get("triton_kernels", by_default("triton_kernels")))
    if (config.get("randomness") or {}).get("deterministic"):
        # cuBLAS too; without it torch may refuse to multiply matrices.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    launcher = config.get("launcher", "none")
    if launcher == "none" or torch.distributed.is_initialized() or torch.cuda.is_available():
        return
    # mmengine's own set-up selects a CUDA device, even where there is none.
    if launcher != "pytorch":
        raise UserError(f"--launcher {launcher}: needs GPUs; without, start the run by torchrun")
    store, rank, processes = next(torch.distributed.rendezvous("env://"))
    # A launcher that starts a run again may keep its store. It still holds the addresses of the
    # processes that have ended.
    store = PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=processes)
