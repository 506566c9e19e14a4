"""Names of MMSegmentation for the code that people bring along; the rest of mmseg needs none.

`install` lets Python find the module paths of `MODULES` and, in every module of mmseg, the names of
`NAMES`. mmengine's runner takes MMSegmentation's configs then. Nothing is imported before someone
asks for it.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any


def by_entry(table: dict[str, str]) -> dict[str, str]:
    """Turn homes with their entries, in one text, into a table of the home of each entry."""
    return {entry: home for home, entries in table.items() for entry in entries.split()}


# Module paths of MMSegmentation below mmseg. One has the names of the module that `HOMES` gives for
# it, or else of the module above it.
PATHS = """
apis.inference apis.mmseg_inferencer core core.evaluation core.evaluation.class_names datasets.ade
datasets.basesegdataset datasets.cityscapes datasets.coco_stuff datasets.custom
datasets.dataset_wrappers datasets.isaid datasets.isprs datasets.loveda datasets.pascal_context
datasets.pipelines datasets.pipelines.compose datasets.pipelines.formating
datasets.pipelines.formatting datasets.pipelines.loading datasets.pipelines.transforms
datasets.potsdam datasets.transforms.formatting datasets.transforms.transforms datasets.voc
engine.hooks engine.hooks.visualization_hook evaluation.metrics evaluation.metrics.iou_metric
models.builder models.decode_heads.fcn_head models.losses.accuracy models.losses.cross_entropy_loss
models.losses.dice_loss models.losses.lovasz_loss models.losses.utils models.segmentors
models.segmentors.base models.segmentors.encoder_decoder models.segmentors.seg_tta models.utils
models.utils.wrappers ops.wrappers registry.registry structures.seg_data_sample utils
utils.class_names utils.set_env utils.typing_utils visualization visualization.local_visualizer
"""
MODULES = PATHS.split()
HOMES = {"core": "evaluation", "datasets.pipelines": "datasets.transforms"}
# Modules, and the names of MMSegmentation that they have. Every module of mmseg has these names.
NAMES = by_entry(
    {
        "mmengine.dataset": "Compose",
        "mmengine.registry": "MODEL_WRAPPERS OPTIMIZERS PARAM_SCHEDULERS VISUALIZERS",
        "mmseg.peers.datasets": (
            "CustomDataset MultiImageMixDataset PIPELINES RandomMosaic get_classes get_palette"
        ),
        "mmseg.peers.models": (
            "BACKBONES BaseDecodeHead BaseSegmentor ConfigType FCNHead ForwardResults HEADS LOSSES "
            "MultiConfig NECKS OptConfigType OptMultiConfig OptSampleList SEGMENTORS SampleList "
            "TensorDict TensorList accuracy add_prefix build_backbone build_head build_loss "
            "build_neck build_segmentor resize weighted_loss"
        ),
        "mmseg.peers.results": (
            "MMSegInferencer SegLocalVisualizer inference_segmentor init_segmentor "
            "register_all_modules show_result_pyplot"
        ),
        "mmseg.peers.transforms": (
            "AdjustGamma Albu CLAHE LoadImageFromNDArray RGB2Gray RandomCutOut RandomRotFlip "
            "RandomRotate Rerange ResizeShortestEdge SegRescale"
        ),
        "mmseg.registry": "MODELS TRANSFORMS",
    }
)
# Modules whose classes a config finds by name, besides those of mmseg/registry.py.
LOCATIONS = {
    "DATASETS": ("mmseg.peers.datasets",),
    "MODELS": ("mmseg.peers.models",),
    "TRANSFORMS": ("mmseg.peers.transforms", "mmseg.peers.datasets"),
}
RUNNER = "mmengine.runner.runner"


def _build_model(cfg: Any, *args: Any, **kwargs: Any) -> Any:
    return import_module("mmseg.peers.models").build_adapted(cfg, *args, **kwargs)


def _open_registries(module: Any) -> None:
    for registry, locations in LOCATIONS.items():
        getattr(module, registry)._locations.extend(locations)
    module.MODELS.build_func = _build_model


def _open_runner(module: Any) -> None:
    """Let mmengine's runner take a config of MMSegmentation; the runner of this project runs it."""
    original = module.Runner.from_cfg.__func__

    def from_cfg(cls: Any, cfg: Any) -> Any:
        legacy = import_module("mmseg.compat.legacy")
        theirs = cfg.get("default_scope") == "mmseg" or legacy.is_legacy(cfg)
        if cls is module.Runner and theirs:
            return import_module("mmseg.engine").SegRunner.from_cfg(cfg)
        return original(cls, cfg)

    module.Runner.from_cfg = classmethod(from_cfg)


AFTER = {"mmseg.registry": _open_registries, RUNNER: _open_runner}


class _Opened(SourceFileLoader):
    """Loads a module, and lets the names and modules of the tables be found in one of mmseg."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        if module.__name__ != RUNNER:
            _open(module, "")
        AFTER.get(module.__name__, id)(module)


class _Names(MetaPathFinder, Loader):
    """Finds the module paths of `MODULES`, and opens the modules that exist."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: Any = None
    ) -> ModuleSpec | None:
        is_ours = fullname.startswith("mmseg.") and not fullname.startswith("mmseg.peers")
        if not is_ours and fullname != RUNNER:
            return None
        if fullname.removeprefix("mmseg.") in MODULES:
            return ModuleSpec(fullname, self, is_package=True)
        spec = PathFinder.find_spec(fullname, path)
        if spec is None:
            place, _, name = fullname.rpartition(".")
            # Without `name`, or Python would replace the message by one of its own.
            raise ModuleNotFoundError(
                f"{place} has no {name}; docs/migration.md lists the names of MMSegmentation that "
                "work here"
            )
        if isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Opened(fullname, spec.loader.path)
        return spec

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__.removeprefix("mmseg.")
        _open(module, HOMES.get(name, name.rpartition(".")[0]))


def _open(module: ModuleType, home: str) -> None:
    """Let a module take what it lacks from `NAMES`, and then from the module `home`."""

    def find(name: str) -> Any:
        if name in NAMES:
            return getattr(import_module(NAMES[name]), name)
        if home and not name.startswith("__"):
            return getattr(import_module(f"mmseg.{home}"), name)
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

    if not hasattr(module, "__path__"):
        module.__path__ = []  # A module with this attribute may have modules in it.
    module.__getattr__ = find  # type: ignore[method-assign]


def install() -> None:
    """Let the imports of this process find the names."""
    sys.meta_path.insert(0, _Names())
    if RUNNER in sys.modules:
        _open_runner(sys.modules[RUNNER])
