"""What trains and tests: the runner, its hooks, and checkpoints."""

from mmseg.engine.amp import BFloat16OptimWrapper
from mmseg.engine.checkpoint import PretrainedBackbone, load_model_weights
from mmseg.engine.hooks import LatestCheckpointHook, RunSummaryHook
from mmseg.engine.runner import SegRunner
from mmseg.visualization.hook import SegVisualizationHook

__all__ = [
    "BFloat16OptimWrapper",
    "LatestCheckpointHook",
    "PretrainedBackbone",
    "RunSummaryHook",
    "SegRunner",
    "SegVisualizationHook",
    "load_model_weights",
]
