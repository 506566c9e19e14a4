"""Classes of mmengine that a class of ours replaces, by the names that configs write.

A config that names one of them gets ours, which says in its docstring what it does differently.
"""

REPLACED = {
    "LatestCheckpointHook": "CheckpointHook",
    "PretrainedBackbone": "Pretrained",
    "SegOptimWrapperConstructor": "DefaultOptimWrapperConstructor",
    "SegTrainLoop": "IterBasedTrainLoop",
    "StatelessSampler": "InfiniteSampler",
}


def registered_names(own: str) -> list[str]:
    """Return the names under which one of our classes is registered: its own, and mmengine's."""
    return [own, REPLACED[own]]
