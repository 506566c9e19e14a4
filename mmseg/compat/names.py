"""Names of mmengine's classes that stand for classes of this project in a config.

The docstring of each class says how it differs from mmengine's.
"""

REPLACED = {
    "EpochTrainLoop": "EpochBasedTrainLoop",
    "LatestCheckpointHook": "CheckpointHook",
    "PretrainedBackbone": "Pretrained",
    "SegOptimWrapperConstructor": "DefaultOptimWrapperConstructor",
    "SegTrainLoop": "IterBasedTrainLoop",
    "StatelessSampler": "InfiniteSampler",
}


def registered_names(own: str) -> list[str]:
    """Return the names that a class of this project is registered by: its own, and mmengine's."""
    return [own, REPLACED[own]]
