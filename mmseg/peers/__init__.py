"""Names of MMSegmentation for the code that people bring along; the rest of mmseg needs none.

`install` lets Python find the module paths of `MODULES` and, in every module of mmseg, the names of
`NAMES`. Nothing is imported before someone asks for it.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

# A module path of MMSegmentation, below mmseg, and the module here that has its names. Packages
# stand before what is in them.
MODULES = {
    "apis.inference": "apis",
    "apis.mmseg_inferencer": "peers.results",
    "core": "evaluation",
    "core.evaluation": "evaluation",
    "core.evaluation.class_names": "peers.datasets",
    "datasets.basesegdataset": "datasets",
    "datasets.custom": "peers.datasets",
    "datasets.dataset_wrappers": "datasets",
    "datasets.pipelines": "datasets.transforms",
    "datasets.pipelines.compose": "datasets.transforms",
    "datasets.pipelines.formating": "datasets.transforms",
    "datasets.pipelines.formatting": "datasets.transforms",
    "datasets.pipelines.loading": "datasets.transforms",
    "datasets.pipelines.transforms": "datasets.transforms",
    "datasets.potsdam": "datasets",
    "datasets.transforms.formatting": "datasets.transforms",
    "datasets.transforms.transforms": "datasets.transforms",
    "engine.hooks": "engine",
    "engine.hooks.visualization_hook": "engine",
    "evaluation.metrics": "evaluation",
    "evaluation.metrics.iou_metric": "evaluation",
    "models.builder": "peers.models",
    "models.decode_heads.fcn_head": "models.decode_heads",
    "models.losses.accuracy": "models.losses",
    "models.losses.cross_entropy_loss": "models.losses",
    "models.losses.dice_loss": "models.losses",
    "models.losses.focal_loss": "models.losses",
    "models.losses.lovasz_loss": "models.losses",
    "models.losses.utils": "models.losses",
    "models.segmentors": "models",
    "models.segmentors.base": "models",
    "models.segmentors.encoder_decoder": "models",
    "models.segmentors.seg_tta": "models",
    "models.utils": "models",
    "models.utils.wrappers": "models",
    "ops.wrappers": "models",
    "registry.registry": "registry",
    "structures.seg_data_sample": "structures",
    "utils": "peers.types",
    "utils.class_names": "peers.datasets",
    "utils.set_env": "peers.results",
    "utils.typing_utils": "peers.types",
    "visualization": "peers.visualizer",
    "visualization.local_visualizer": "peers.visualizer",
}
# A name of MMSegmentation, and the module that has it. It is found in every module of mmseg.
NAMES = {
    "AdjustGamma": "mmseg.peers.colours",
    "Albu": "mmseg.peers.transforms",
    "BACKBONES": "mmseg.peers.models",
    "BaseDecodeHead": "mmseg.peers.heads",
    "BaseSegmentor": "mmseg.peers.models",
    "CLAHE": "mmseg.peers.colours",
    "CustomDataset": "mmseg.peers.datasets",
    "DepthwiseSeparableFCNHead": "mmseg.peers.heads",
    "FCNHead": "mmseg.peers.heads",
    "FocalLoss": "mmseg.peers.losses",
    "HEADS": "mmseg.peers.models",
    "LOSSES": "mmseg.peers.models",
    "LoadImageFromNDArray": "mmseg.peers.transforms",
    "MMSegInferencer": "mmseg.peers.results",
    "MultiImageMixDataset": "mmseg.peers.mosaic",
    "NECKS": "mmseg.peers.models",
    "PIPELINES": "mmseg.peers.datasets",
    "RGB2Gray": "mmseg.peers.colours",
    "RandomCutOut": "mmseg.peers.transforms",
    "RandomMosaic": "mmseg.peers.mosaic",
    "RandomRotFlip": "mmseg.peers.transforms",
    "RandomRotate": "mmseg.peers.transforms",
    "Rerange": "mmseg.peers.colours",
    "ResizeShortestEdge": "mmseg.peers.transforms",
    "SEGMENTORS": "mmseg.peers.models",
    "SegLocalVisualizer": "mmseg.peers.visualizer",
    "SegRescale": "mmseg.peers.transforms",
    "TRANSFORMS": "mmseg.registry",
    "VISUALIZERS": "mmengine.registry",
    "accuracy": "mmseg.peers.losses",
    "build_backbone": "mmseg.peers.models",
    "build_head": "mmseg.peers.models",
    "build_loss": "mmseg.peers.models",
    "build_neck": "mmseg.peers.models",
    "build_segmentor": "mmseg.peers.models",
    "get_classes": "mmseg.peers.datasets",
    "get_palette": "mmseg.peers.datasets",
    "inference_segmentor": "mmseg.peers.results",
    "init_segmentor": "mmseg.peers.results",
    "register_all_modules": "mmseg.peers.results",
    "resize": "mmseg.peers.heads",
    "show_result_pyplot": "mmseg.peers.results",
    "weighted_loss": "mmseg.peers.losses",
}
# Modules whose classes a config finds by name, besides those of mmseg/registry.py.
LOCATIONS = {
    "DATASETS": ("mmseg.peers.datasets", "mmseg.peers.mosaic"),
    "MODELS": ("mmseg.peers.heads", "mmseg.peers.losses"),
    "TRANSFORMS": ("mmseg.peers.transforms", "mmseg.peers.colours", "mmseg.peers.mosaic"),
}


def _build_model(cfg: Any, *args: Any, **kwargs: Any) -> Any:
    return import_module("mmseg.peers.models").build_adapted(cfg, *args, **kwargs)


class _Opened(SourceFileLoader):
    """Loads a module of mmseg, and lets the names and modules of the tables be found in it."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        _open(module, "")
        if module.__name__ == "mmseg.registry":
            for registry, locations in LOCATIONS.items():
                getattr(module, registry)._locations.extend(locations)
            module.MODELS.build_func = _build_model  # type: ignore[attr-defined]


class _Names(MetaPathFinder, Loader):
    """Finds the module paths of `MODULES`, and opens the modules that exist."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: Any = None
    ) -> ModuleSpec | None:
        root, _, below = fullname.partition(".")
        if root != "mmseg" or not below or below.partition(".")[0] == "peers":
            return None
        if below in MODULES:
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
        _open(module, MODULES[module.__name__.partition(".")[2]])


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
    if not any(isinstance(finder, _Names) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Names())
