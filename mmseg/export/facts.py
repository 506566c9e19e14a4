"""What an exported file tells of its model."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import mmseg
from mmseg.checkpoints.dialects import model_facts
from mmseg.export.graph import ExportOptions, Graph, bands_of, resize_rule, traced
from mmseg.files import write_whole

KEY = "segnext"  # the name of the metadata in the file
OVERLAP = 0.25  # of a map's windows, as in `mmseg.raster.MapOptions`


def facts(model: Any, options: ExportOptions) -> dict[str, Any]:
    """Return the metadata of an exported model: plain values for JSON.

    `window` (height, width) is the size to cut large images to, and `overlap` the share of a window
    that the next one shares.
    """
    meta, window, overlap = model.dataset_meta, model.data_preprocessor.size, OVERLAP
    if model.test_cfg["mode"] == "slide":
        window, stride = model.test_cfg["crop_size"], model.test_cfg["stride"]
        overlap = 1 - stride[0] / window[0]
    return {
        **model_facts(model),  # mean, std, bgr_to_rgb, nmf_rank
        **asdict(options),
        "classes": list(meta["classes"]),
        "palette": [list(colour) for colour in meta["palette"]],
        "bands": list(bands_of(model)),
        "bits": meta.get("bits", "uint8"),
        "order": "bands",  # of the channels of an `image`; files without it may have blue first
        "gsd": options.gsd or meta.get("gsd"),
        "window": options.size or window,
        "overlap": overlap,
        "version": mmseg.__version__,
        "weights_sha256": weights_sha256(model),
        "temperature": model.temperature,
        "resize": resize_rule(model),
        "test_cfg": {key: value for key, value in model.test_cfg.items() if key != "amp"},
        "reduce_zero_label": meta.get("reduce_zero_label", False),
        "align_corners": model.decode_head.align_corners,
    }


def weights_sha256(model: torch.nn.Module) -> str:
    """Return a hash of the names and values of a model's weights."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def to_text(values: dict[str, Any], indent: int | None = None) -> str:
    """Return metadata as JSON."""
    return json.dumps(values, ensure_ascii=False, indent=indent)


def to_onnx(model: Any, path: str | Path, **options: Any) -> None:
    """Write a model as ONNX; `options` are those of `ExportOptions`.

    `model` is a plain one of `init_model(..., fused=False)`. The file has one input, named as
    `options.input`, and one output, named as `options.output`. Its metadata is JSON under the key
    `segnext`. The file is not compared with the model; `export_model` does so.
    """
    chosen = ExportOptions(**options)
    program = traced(Graph(model, chosen))
    program.metadata_props.add(key=KEY, value=to_text(facts(model, chosen)))
    write_whole(path, program.SerializeToString())
