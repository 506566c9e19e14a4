"""What Deepness, a plugin of QGIS, and GeoDeep read: square tiles, softmax, their own metadata.

Both programs cut a scene into tiles, divide them by 255 and take the class of the highest score.
Deepness then normalises by the metadata; GeoDeep does not. Both merge classes in patches smaller
than `seg_small_segment`, and set scores below `seg_thresh` to 0, which 0 turns off.
"""

import json
from dataclasses import replace
from typing import Any

from mmseg.errors import UserError
from mmseg.export.facts import window_of
from mmseg.export.graph import RGB, Graph, bands_of
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
    options = replace(options, size=tuple(size), gsd=gsd, output="probabilities")
    if name == "geodeep":
        return replace(options, input="unit", batch=1)
    if not model.data_preprocessor.bgr_to_rgb:
        raise UserError("--for deepness gives red first, and the model reads blue first")
    return replace(options, input="tensor")


def target_metadata(graph: Graph, values: dict[str, Any]) -> dict[str, str]:
    """Return the metadata of a file for `target`, each value as JSON; `values` are its facts."""
    if graph.options.target is None:
        return {}
    told: dict[str, Any] = {
        "model_type": "Segmentor",
        "class_names": {str(i): name for i, name in enumerate(values["classes"])},
        "resolution": round(100 * values["gsd"], 6),  # cm
        "tile_size": values["window"][0],
        "tiles_overlap": round(100 * values["overlap"]),  # percent
        "seg_thresh": 0,
        "seg_small_segment": 0,
    }
    if graph.options.target == "deepness":
        told["standardization_mean"] = [each / 255 for each in values["mean"]]
        told["standardization_std"] = [each / 255 for each in values["std"]]
    return {key: json.dumps(value, ensure_ascii=False) for key, value in told.items()}
