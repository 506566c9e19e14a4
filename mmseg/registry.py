"""The registries: children of mmengine's, so that configs find our classes and mmengine's by name."""

from mmengine import registry as root

SCOPE = "mmseg"

DATASETS = root.Registry(
    "dataset", parent=root.DATASETS, scope=SCOPE, locations=["mmseg.datasets"]
)
TRANSFORMS = root.Registry(
    "transform", parent=root.TRANSFORMS, scope=SCOPE, locations=["mmseg.datasets.transforms"]
)
MODELS = root.Registry("model", parent=root.MODELS, scope=SCOPE, locations=["mmseg.models"])
METRICS = root.Registry("metric", parent=root.METRICS, scope=SCOPE, locations=["mmseg.evaluation"])
HOOKS = root.Registry("hook", parent=root.HOOKS, scope=SCOPE, locations=["mmseg.engine"])
