"""What trains and tests: the runner, its loop, hooks, optimiser and the state it resumes from."""

from mmseg.checkpoints.loading import PretrainedBackbone
from mmseg.engine.checkpoint_hook import LatestCheckpointHook
from mmseg.engine.loaders import StatelessSampler
from mmseg.engine.loop import SegTrainLoop
from mmseg.engine.optimiser import BFloat16OptimWrapper, SegOptimWrapperConstructor
from mmseg.engine.run_summary import RunSummaryHook
from mmseg.engine.runner import SegRunner
from mmseg.engine.semi_supervised import SemiSupervisedHook
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
    "SemiSupervisedHook",
    "StatelessSampler",
]
