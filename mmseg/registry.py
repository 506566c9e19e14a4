"""The registries. They are children of mmengine's, so configs find its classes and ours."""

from mmengine import registry as root
from mmengine.registry import Registry

SCOPE = "mmseg"


def _child(parent: Registry, *locations: str) -> Registry:
    return Registry(parent.name, parent=parent, scope=SCOPE, locations=list(locations))


DATASETS = _child(root.DATASETS, "mmseg.datasets")
TRANSFORMS = _child(root.TRANSFORMS, "mmseg.datasets.transforms")
MODELS = _child(root.MODELS, "mmseg.models")
METRICS = _child(root.METRICS, "mmseg.evaluation")
HOOKS = _child(root.HOOKS, "mmseg.engine")
RUNNERS = _child(root.RUNNERS, "mmseg.engine")
OPTIM_WRAPPERS = _child(root.OPTIM_WRAPPERS, "mmseg.engine")
WEIGHT_INITIALIZERS = _child(root.WEIGHT_INITIALIZERS, "mmseg.engine")
DATA_SAMPLERS = _child(root.DATA_SAMPLERS, "mmseg.engine")
LOOPS = _child(root.LOOPS, "mmseg.engine")
OPTIM_WRAPPER_CONSTRUCTORS = _child(root.OPTIM_WRAPPER_CONSTRUCTORS, "mmseg.engine")

# mmengine warns of every kind that a scope lacks, also of those to which this project adds nothing.
_OTHERS = [
    _child(parent, "mmseg.engine")
    for parent in (
        *(root.EVALUATOR, root.FUNCTIONS, root.INFERENCERS, root.LOG_PROCESSORS),
        *(root.MODEL_WRAPPERS, root.OPTIMIZERS, root.PARAM_SCHEDULERS, root.RUNNER_CONSTRUCTORS),
        *(root.TASK_UTILS, root.VISBACKENDS, root.VISUALIZERS),
    )
]
ALL = (
    *(DATASETS, TRANSFORMS, MODELS, METRICS, HOOKS, RUNNERS, OPTIM_WRAPPERS, WEIGHT_INITIALIZERS),
    *(DATA_SAMPLERS, LOOPS, OPTIM_WRAPPER_CONSTRUCTORS, *_OTHERS),
)
