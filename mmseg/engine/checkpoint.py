"""Read checkpoints and load weights so that nothing is missing without a word."""

import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import MMLogger
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner.checkpoint import get_torch_safe_globals
from torch import Tensor, nn

from mmseg.errors import UserError
from mmseg.registry import WEIGHT_INITIALIZERS

# OpenMMLab's checkpoints lack the inner name of the MLP's depth-wise convolution.
OPENMMLAB_KEY = re.compile(r"(block\d\.\d+\.mlp\.dwconv)\.(weight|bias)$")


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; only tensors and plain metadata are ever unpickled."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such checkpoint")
    try:
        _check_archive(path)
        with torch.serialization.safe_globals(get_torch_safe_globals()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises many kinds
        first_line = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(f"{path}: cannot be read as a checkpoint ({first_line})") from error


def _check_archive(path: str | Path) -> None:
    """Check what torch does not: the check sums, and that nothing expands when it is read."""
    if not zipfile.is_zipfile(path):
        return  # torch's format before 1.6
    with zipfile.ZipFile(path) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("its members are compressed, which torch never does")
        if damaged := archive.testzip():
            raise ValueError(f"the check sum of its member {damaged} is wrong")


def state_dict_of(checkpoint: Mapping[str, Any], source: str) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint, read from `source`, under the official key names."""
    state = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, Mapping) else None
    if not isinstance(state, Mapping):
        raise UserError(f"{source}: holds no weights; a checkpoint has them under `state_dict`")
    if not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise UserError(f"{source}: its weights are not named tensors; is it a checkpoint?")
    return {OPENMMLAB_KEY.sub(r"\1.dwconv.\2", key): value for key, value in state.items()}


def load_model_weights(model: nn.Module, path: str | Path) -> dict[str, Any]:
    """Load a full model and return the checkpoint.

    Raises `UserError` when a tensor is missing or has another shape.
    """
    network: Any = model
    while is_model_wrapper(network) or isinstance(network, BaseTTAModel):
        network = network.module
    checkpoint = read_checkpoint(path)
    _load(network, state_dict_of(checkpoint, str(path)), str(path), "model")
    return checkpoint


def _load(module: nn.Module, state: Mapping[str, Tensor], source: str, part: str) -> None:
    expected = module.state_dict()
    # Old files lack the counters, which nothing reads.
    needed = [key for key in expected if not key.endswith("num_batches_tracked")]
    missing = [key for key in needed if key not in state]
    wrong = [k for k in expected if k in state and state[k].shape != expected[k].shape]
    if missing or wrong:
        raise UserError(f"{source}: {_mismatch(missing, wrong, state, expected, len(needed))}")
    module.load_state_dict({key: state[key] for key in expected if key in state}, strict=False)
    unused = len(state.keys() - expected.keys())
    others = f"; {unused} others in the file not used" if unused else ""
    loaded = len(needed)
    MMLogger.get_current_instance().info(f"{source}: {loaded} of {loaded} {part} tensors{others}")


def _mismatch(missing: list, wrong: list, state: Mapping, expected: Mapping, total: int) -> str:
    if wrong and all("conv_seg" in key for key in wrong) and not missing:
        classes, wanted = len(state[wrong[0]]), len(expected[wrong[0]])
        cause = f"it was trained on {classes} classes, the config has {wanted}"
    elif len(missing) == total:
        cause = "it holds another kind of model"
    else:
        cause = "it is of another size than the config (tiny, small, base, large)"
    shapes = [f"{k} {list(state[k].shape)} instead of {list(expected[k].shape)}" for k in wrong]
    found = total - len(missing) - len(wrong)
    return f"{found} of {total} tensors fit, {cause}: {_first(shapes + missing)}"


def _first(names: Iterable[str], limit: int = 5) -> str:
    names = list(names)
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")


@WEIGHT_INITIALIZERS.register_module()
class PretrainedBackbone:
    """Initialise a backbone from `checkpoint`, or else from `url`, or else stop.

    A training run that asked for ImageNet weights never goes on without them. The file's name in
    `url` ends in the first digits of its sha256, which is checked.
    """

    def __init__(self, checkpoint: str, url: str) -> None:
        self.checkpoint = Path(checkpoint)
        self.url = url

    def __call__(self, module: nn.Module) -> None:
        if self.checkpoint.is_file():
            content = read_checkpoint(self.checkpoint)
            source = str(self.checkpoint)
        else:
            content = self._download()
            source = self.url
        state = state_dict_of(content, source)
        prefix = "backbone."
        if any(key.startswith(prefix) for key in state):
            state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        _load(module, state, source, "backbone")

    def _download(self) -> dict[str, Any]:
        try:
            with torch.serialization.safe_globals(get_torch_safe_globals()):
                return torch.hub.load_state_dict_from_url(
                    self.url, map_location="cpu", check_hash=True, weights_only=True
                )
        except Exception as error:  # of the network, of the hash, of the file
            reason = str(error).partition("\n")[0]
            raise UserError(
                f"no ImageNet weights: {self.checkpoint} is not there and {self.url} cannot be "
                f"downloaded ({reason}); put that file at {self.checkpoint.absolute()}, or train "
                "without it: the configs whose names end in _nopre need none"
            ) from error
