"""The names of types in the signatures of MMSegmentation's heads, losses and models."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mmseg.structures import SegDataSample

ConfigType = OptConfigType = MultiConfig = OptMultiConfig = Any
SampleList = OptSampleList = Sequence[SegDataSample]
TensorDict = dict[str, Tensor]
TensorList = Sequence[Tensor]
ForwardResults = dict[str, Tensor] | Sequence[SegDataSample] | Tensor


def add_prefix(inputs: dict, prefix: str) -> dict:
    """Return a dict with `prefix.` before each key."""
    return {f"{prefix}.{key}": value for key, value in inputs.items()}
