"""What Deepness, a plugin of QGIS, and GeoDeep read: square tiles, softmax, their own metadata.

Both programs cut a scene into tiles, divide them by 255 and take the class of the highest score.
Deepness then normalises by the metadata, which asks for nothing here. Both merge classes in patches
smaller than `seg_small_segment`, and set scores below `seg_thresh` to 0, which 0 turns off.
"""

import json
from dataclasses import replace
from typing import Any

from mmseg.errors import UserError
from mmseg.export.facts import window_of
from mmseg.export.graph import RGB, bands_of
from mmseg.export.options import ExportOptions


def options_for_target(model: Any, options: ExportOptions) -> ExportOptions:
    """Return the options of a file that `options.target` reads.

    Raises `UserError` if it cannot read files of this model.
    """
    name = options.target
    size = options.size or window_of(model)[0]
    gsd = options.gsd or model.dataset_meta.get("gsd")
    if size is None or size[0] != size[1]:
        raise UserError(f"--for {name} takes square tiles: give --size S S")
    if gsd is None:
        raise UserError(f"--for {name} resamples scenes: give --gsd, the metres per pixel")
    if bands_of(model) != RGB or model.dataset_meta.get("bits", "uint8") != "uint8":
        raise UserError(f"--for {name} reads 8-bit images of red, green and blue alone")
    fixed: dict[str, Any] = {"output": "probabilities", "input": "unit", "batch": 1}
    return replace(options, size=tuple(size), gsd=gsd, **fixed)


def target_metadata(told: dict[str, Any]) -> dict[str, str]:
    """Return the metadata of a file for a target, each value as JSON; `told` are its facts."""
    values: dict[str, Any] = {
        "model_type": "Segmentor",
        "class_names": {str(i): name for i, name in enumerate(told["classes"])},
        "standardization_mean": [0.0, 0.0, 0.0],
        "standardization_std": [1.0, 1.0, 1.0],
        "resolution": round(100 * told["gsd"], 6),  # cm
        "tile_size": told["window"][0],
        "tiles_overlap": round(100 * told["overlap"]),  # percent
        "seg_thresh": 0,
        "seg_small_segment": 0,
    }
    return {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}
