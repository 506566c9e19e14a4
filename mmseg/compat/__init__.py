"""Read configs written for MMSegmentation 0.x and 1.x."""

# Classes of this project that stand for one of mmengine in a config, and its name. The docstring of
# each says how it differs.
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
