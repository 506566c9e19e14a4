"""How a trained network predicts: by PyTorch or by an inference engine; this file alone decides.

An engine runs the network from an ONNX file, which is kept beside the checkpoint. All around the
network stays as it is: reading, resizing, windows, test-time augmentation and the class map.
"""

import glob
import hashlib
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import MMLogger
from torch import nn

from mmseg.checkpoints.loading import unwrap
from mmseg.errors import UserError, reason
from mmseg.export.facts import facts, to_onnx, to_text
from mmseg.export.graph import ExportOptions
from mmseg.export.loading import EngineModel
from mmseg.export.session import ENGINES, Session, installed, need
from mmseg.inference import exchanged, fuse
from mmseg.models import EncoderDecoder

CHOICES = ("auto", "torch", *ENGINES)
NETWORK: dict[str, Any] = {"output": "coarse", "input": "tensor"}  # what the kept files hold
# In float32 and, at True, in bfloat16: the size of the random image that shows whether an engine
# computes the same, and by which share of their norm the logits may differ. OpenVINO arranges the
# weights once for small images and again for others, and keeps both; so the image is not small. In
# bfloat16, OpenVINO 2026.4 does not come back from such images if `embed_dims` start at 8 or 16.
PROBES = {False: ((256, 256), 1e-3), True: ((64, 96), 0.1)}


def for_inference(
    model: nn.Module, engine: str = "torch", checkpoint: str | Path | None = None
) -> nn.Module:
    """Return a copy of a segmentor, or of a `SegTTAModel` around one, that predicts fast.

    `engine` is one of `CHOICES`. With `torch` the copy is `mmseg.inference.fuse(model)`. With an
    engine, its network is converted once to ONNX. That file stays beside `checkpoint`, under the
    hash of weights and code, until one of them changes. `auto` takes the first engine that is
    installed and computes the same, and else PyTorch, as on GPUs. The log says in one line which
    engine runs. Raises `UserError` if the engine that is asked for cannot run the network.
    """
    if engine not in CHOICES:
        raise UserError(f"engine={engine!r}: choose one of {', '.join(CHOICES)}")
    segmentor: Any = unwrap(model)
    if isinstance(segmentor, EngineModel):
        return model
    logger, name = MMLogger.get_current_instance(), engine
    on_cpu = all(each.device.type == "cpu" for each in segmentor.parameters())
    if engine == "auto":
        suits = on_cpu and type(segmentor) is EncoderDecoder
        # OpenVINO alone computes in bfloat16.
        known = installed(segmentor.test_cfg.get("amp", False)) if suits else []
        name = known[0] if known else "torch"
    if name == "torch":
        return fuse(model)
    try:
        need("onnx", name)
        if not on_cpu:
            raise UserError(f"--engine {engine} runs on CPUs: add --device cpu")
        fast = _converted(segmentor, name, checkpoint)
    except UserError as error:
        if engine != "auto":
            raise
        logger.warning(f"{error}; PyTorch predicts")
        return fuse(model)
    logger.info(f"the network runs in {fast.runs_in}")
    return exchanged(model, segmentor, fast)


@torch.no_grad()
def _converted(segmentor: Any, engine: str, checkpoint: str | Path | None) -> EngineModel:
    """Return the model whose network runs in an engine, and keep its file beside `checkpoint`."""
    told = facts(segmentor, ExportOptions(**NETWORK))
    code = f"{to_text(told)} {torch.__version__} {segmentor}"
    kept = Path(checkpoint).resolve() if checkpoint and Path(checkpoint).is_file() else None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        # Hidden, and no checkpoint by its suffix.
        stem = f".{kept.stem if kept else 'network'}."
        name = f"{stem}{hashlib.sha256(code.encode()).hexdigest()[:16]}.onnx"
        path = (kept.parent if kept else Path(folder)) / name
        if path.is_file():
            with suppress(UserError):  # it is damaged, and made anew
                return _checked(segmentor, told, path, engine)
        MMLogger.get_current_instance().info(f"the network is converted for {engine}, once")
        for old in path.parent.glob(f"{glob.escape(stem)}*.onnx"):
            if old != path:  # another process may have written it by now
                old.unlink(missing_ok=True)
        try:
            to_onnx(segmentor, path, **NETWORK)
        except Exception as error:  # of an operation that ONNX does not have
            raise UserError(f"the network cannot be converted to ONNX ({reason(error)})") from error
        return _checked(segmentor, told, path, engine)


def _checked(segmentor: Any, told: dict, path: Path, engine: str) -> EngineModel:
    """Load the network of a file; `UserError` if its logits are not those of the segmentor."""
    half = segmentor.test_cfg.get("amp", False)
    fast = EngineModel(told, Session(path, engine, half))
    for name in ("cfg", "dataset_meta", "test_cfg"):
        if hasattr(segmentor, name):
            setattr(fast, name, getattr(segmentor, name))
    size, tolerance = PROBES[half]
    shape = (1, len(told["bands"]), *size)
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found, expected = fast.logits(image), segmentor.logits(image)
    if not (found - expected).norm() <= tolerance * expected.norm():  # NaN does not pass
        raise UserError(f"{path}: {engine} computes something else than PyTorch")
    return fast
