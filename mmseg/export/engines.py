"""How a trained network predicts: by PyTorch or by an inference engine; this file alone decides.

An engine runs the network from an ONNX file, which is kept beside the checkpoint. All around the
network stays as it is: reading, resizing, windows, test-time augmentation and the class map.
"""

import copy
import glob
import hashlib
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.logging import MMLogger
from mmengine.model import BaseModel, is_model_wrapper
from torch import Tensor, nn

from mmseg.checkpoints.loading import unwrap
from mmseg.errors import UserError, reason
from mmseg.export.facts import facts, to_text
from mmseg.export.options import ExportOptions
from mmseg.export.session import ENGINES, Session, installed
from mmseg.export.writer import to_onnx
from mmseg.inference import fuse
from mmseg.models import EncoderDecoder
from mmseg.ops.class_map import rescale

CHOICES = ("auto", "torch", *ENGINES)
# The network alone, as the kept files hold it.
NETWORK = ExportOptions(output="coarse", input="tensor")
# The random image that shows whether an engine computes the same, and by which share of their norm
# the logits may differ in float32 and, at True, in bfloat16.
PROBE, TOLERANCE = (64, 96), {False: 1e-3, True: 0.1}


class Head(NamedTuple):
    """The part of a decode head that predictions use, for a network that is a file."""

    num_classes: int
    align_corners: bool

    def resize(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """Interpolate (B, C, h, w) bilinearly to (B, C, *size)."""
        return rescale(x, (size[0], size[1]), self.align_corners)


class EngineModel(EncoderDecoder):
    """A segmentor whose network runs in an engine, on the CPU; for inference only.

    `identity` is the hash of the weights, in hexadecimal digits. It is the only parameter.
    """

    decode_head: Any
    test_cfg: dict

    def __init__(self, session: Session, preprocessor: nn.Module, head: Head, identity: str):
        BaseModel.__init__(self, preprocessor)  # there is no network to build
        digits = torch.tensor(list(bytes.fromhex(identity)), dtype=torch.uint8)
        self.identity = nn.Parameter(digits, requires_grad=False)
        self.session, self.decode_head = session, head
        self.eval()

    @property
    def runs_in(self) -> str:
        """The engine, its version and its threads."""
        return self.session.name

    def train(self, mode: bool = True) -> "EngineModel":
        if mode:
            raise UserError("a model that runs in an engine is for inference only")
        return super().train(False)

    def logits(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> logits (B, K, H/8, W/8)."""
        return self.session(x)


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
    on_cpu = all(each.device.type == "cpu" for each in segmentor.parameters())
    name = None
    if engine != "torch" and (engine != "auto" or (on_cpu and type(segmentor) is EncoderDecoder)):
        name = installed(engine, segmentor.test_cfg.get("amp", False))
    if name is None:
        return fuse(model)
    logger = MMLogger.get_current_instance()
    try:
        if not on_cpu:
            raise UserError(f"--engine {engine} runs on CPUs: add --device cpu")
        fast = _converted(segmentor, name, checkpoint)
    except UserError as error:
        if engine != "auto":
            raise
        logger.warning(f"{error}; PyTorch predicts")
        return fuse(model)
    logger.info(f"the network runs in {fast.runs_in}")
    return with_segmentor(model, fast)


def with_segmentor(model: nn.Module, segmentor: nn.Module) -> nn.Module:
    """Return a copy of a model around another segmentor, and without parallel wrappers."""
    inner: Any = model
    while is_model_wrapper(inner):
        inner = inner.module
    return copy.deepcopy(inner, {id(unwrap(model)): segmentor})


@torch.no_grad()
def _converted(segmentor: Any, engine: str, checkpoint: str | Path | None) -> EngineModel:
    """Return the model whose network runs in an engine, and keep its file beside `checkpoint`."""
    identity = hash_of(facts(segmentor, NETWORK), torch.__version__, segmentor)
    kept = Path(checkpoint).resolve() if checkpoint and Path(checkpoint).is_file() else None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        # Hidden, and no checkpoint by its suffix.
        stem = f".{kept.stem if kept else 'network'}."
        path = (kept.parent if kept else Path(folder)) / f"{stem}{identity[:16]}.onnx"
        fast = None
        if path.is_file():
            with suppress(UserError):  # it is damaged, and made anew
                fast = _checked(segmentor, path, engine, identity)
        if fast is None:
            MMLogger.get_current_instance().info(f"the network is converted for {engine}, once")
            for old in path.parent.glob(f"{glob.escape(stem)}*.onnx"):
                if old != path:  # another process may have written it by now
                    old.unlink(missing_ok=True)
            _convert(segmentor, path)
            fast = _checked(segmentor, path, engine, identity)
    for name in ("cfg", "dataset_meta"):
        if hasattr(segmentor, name):
            setattr(fast, name, getattr(segmentor, name))
    return fast


def _convert(segmentor: Any, path: Path) -> None:
    try:
        to_onnx(segmentor, path, **asdict(NETWORK))
    except UserError:
        raise
    except Exception as error:  # of an operation that ONNX does not have
        raise UserError(f"the network cannot be converted to ONNX ({reason(error)})") from error


def _checked(segmentor: Any, path: Path, engine: str, identity: str) -> EngineModel:
    """Load the network of a file; `UserError` if its logits are not those of the segmentor."""
    half = segmentor.test_cfg.get("amp", False)
    head = Head(segmentor.decode_head.num_classes, segmentor.decode_head.align_corners)
    preprocessor = copy.deepcopy(segmentor.data_preprocessor)
    fast = EngineModel(Session(path, engine, half), preprocessor, head, identity)
    fast.test_cfg = segmentor.test_cfg
    shape = (1, len(preprocessor.mean), *PROBE)
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found, expected = fast.logits(image), segmentor.logits(image)
    if not (found - expected).norm() <= TOLERANCE[half] * expected.norm():  # NaN does not pass
        raise UserError(f"{path}: {engine} computes something else than PyTorch")
    return fast


def hash_of(values: dict[str, Any], *others: object) -> str:
    """Return the hash of the facts of a model, weights among them, in hexadecimal digits."""
    return hashlib.sha256(f"{to_text(values)} {others}".encode()).hexdigest()
