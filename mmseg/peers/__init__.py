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


def _by_entry(table: dict[str, str]) -> dict[str, str]:
    return {entry: home for home, entries in table.items() for entry in entries.split()}


# Modules below mmseg, and the module paths of MMSegmentation that have their names.
MODULES = _by_entry(
    {
        "apis": "apis.inference",
        "datasets": (
            "datasets.ade datasets.basesegdataset datasets.cityscapes datasets.coco_stuff "
            "datasets.dataset_wrappers datasets.isaid datasets.isprs datasets.loveda "
            "datasets.pascal_context datasets.potsdam datasets.voc"
        ),
        "datasets.transforms": (
            "datasets.pipelines datasets.pipelines.compose datasets.pipelines.formating "
            "datasets.pipelines.formatting datasets.pipelines.loading "
            "datasets.pipelines.transforms datasets.transforms.formatting "
            "datasets.transforms.transforms"
        ),
        "engine": "engine.hooks engine.hooks.visualization_hook",
        "evaluation": "core core.evaluation evaluation.metrics evaluation.metrics.iou_metric",
        "models": (
            "models.segmentors models.segmentors.base models.segmentors.encoder_decoder "
            "models.segmentors.seg_tta models.utils models.utils.wrappers ops.wrappers"
        ),
        "models.decode_heads": "models.decode_heads.fcn_head",
        "models.losses": (
            "models.losses.accuracy models.losses.cross_entropy_loss models.losses.dice_loss "
            "models.losses.lovasz_loss models.losses.utils"
        ),
        "peers.datasets": "core.evaluation.class_names datasets.custom utils.class_names",
        "peers.models": "models.builder",
        "peers.results": "apis.mmseg_inferencer utils.set_env",
        "peers.types": "utils utils.typing_utils",
        "peers.visualizer": "visualization visualization.local_visualizer",
        "registry": "registry.registry",
        "structures": "structures.seg_data_sample",
    }
)
# Modules, and the names of MMSegmentation that they have. Every module of mmseg has these names.
NAMES = _by_entry(
    {
        "mmengine.registry": "VISUALIZERS",
        "mmseg.peers.colours": "AdjustGamma CLAHE RGB2Gray Rerange",
        "mmseg.peers.datasets": "CustomDataset PIPELINES get_classes get_palette",
        "mmseg.peers.heads": "BaseDecodeHead DepthwiseSeparableFCNHead FCNHead resize",
        "mmseg.peers.losses": "accuracy weighted_loss",
        "mmseg.peers.models": (
            "BACKBONES BaseSegmentor HEADS LOSSES NECKS SEGMENTORS build_backbone build_head "
            "build_loss build_neck build_segmentor"
        ),
        "mmseg.peers.mosaic": "MultiImageMixDataset RandomMosaic",
        "mmseg.peers.results": (
            "MMSegInferencer inference_segmentor init_segmentor register_all_modules "
            "show_result_pyplot"
        ),
        "mmseg.peers.transforms": (
            "Albu LoadImageFromNDArray RandomCutOut RandomRotFlip RandomRotate ResizeShortestEdge "
            "SegRescale"
        ),
        "mmseg.peers.visualizer": "SegLocalVisualizer",
        "mmseg.registry": "TRANSFORMS",
    }
)
# Modules whose classes a config finds by name, besides those of mmseg/registry.py.
LOCATIONS = {
    "DATASETS": ("mmseg.peers.datasets", "mmseg.peers.mosaic"),
    "MODELS": ("mmseg.peers.heads",),
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
