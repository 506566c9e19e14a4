"""What trains and tests: the runner, its hooks, and checkpoints."""

from mmseg.checkpoints.loading import PretrainedBackbone, load_model_weights
from mmseg.engine.amp import BFloat16OptimWrapper
from mmseg.engine.checkpoint_hook import LatestCheckpointHook
from mmseg.engine.hooks import RunSummaryHook
from mmseg.engine.loop import SegTrainLoop
from mmseg.engine.optimiser import SegOptimWrapperConstructor
from mmseg.engine.runner import SegRunner
from mmseg.engine.sampler import StatelessSampler
from mmseg.engine.visualization import SegVisualizationHook

__all__ = [
    "BFloat16OptimWrapper",
    "LatestCheckpointHook",
    "PretrainedBackbone",
    "RunSummaryHook",
    "SegOptimWrapperConstructor",
    "SegRunner",
    "SegTrainLoop",
    "SegVisualizationHook",
    "StatelessSampler",
    "load_model_weights",
]
