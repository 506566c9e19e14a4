"""An exported file as a model: `load(path)`."""

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.structures import PixelData
from torch import Tensor

from mmseg.errors import UserError, reason
from mmseg.export.engines import EngineModel, Head, hash_of
from mmseg.export.facts import KEY
from mmseg.export.graph import RGB, SAMPLES
from mmseg.export.session import INSTALL, Session, installed
from mmseg.files import cannot_be_read
from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.structures import SegDataSample

SUFFIXES = (".onnx", ".xml")
BLENDED = "export it with --output probabilities"


def is_exported(path: object) -> bool:
    """Return whether a path is that of an exported file, by its suffix."""
    return Path(str(path)).suffix in SUFFIXES


def load(
    path: str | Path, engine: str = "auto", half: bool = False, scores: bool = False
) -> "ExportedModel":
    """Return the model of a file that `tools/export.py` wrote: `.onnx`, or `.xml` with its `.bin`.

    It predicts as the model that was exported: `inference_model`, `map_scene` and the tools take
    it. `engine` is `openvino`, `onnxruntime` or `auto`, the first of these that is installed.
    `half` lets OpenVINO compute in bfloat16, as a file of this precision does. Raises `UserError`
    for another program's file, if no engine is installed, and with `scores` for a file that gives
    classes alone.
    """
    facts = read_facts(path)
    if engine == "auto" and Path(path).suffix == ".xml":
        engine = "openvino"
    if engine == "torch":
        raise UserError(f"{path}: PyTorch cannot run an exported file; leave --engine torch out")
    half = half or facts["precision"] == "bf16"
    name = installed(engine, half)
    if name is None:
        raise UserError(f"{path}: no engine is installed that can run it; {INSTALL}")
    if facts["output"] == "classes" and (scores or facts["test_cfg"]["mode"] == "slide"):
        raise UserError(f"{path}: gives classes alone, which cannot be averaged: {BLENDED}")
    model = ExportedModel(facts, Session(path, name, half))
    MMLogger.get_current_instance().info(f"{path} runs in {model.runs_in}")
    return model


def read_facts(path: str | Path) -> dict[str, Any]:
    """Return the metadata of an exported file; `UserError` if it has none."""
    try:
        Path(path).open("rb").close()
        if Path(path).suffix == ".xml":
            content = importlib.import_module("openvino").Core().read_model(path).get_rt_info()
            texts = {KEY: content[KEY].astype(str)} if KEY in content else {}
        else:
            content = importlib.import_module("onnx").load(path, load_external_data=False)
            texts = {each.key: each.value for each in content.metadata_props}
        return json.loads(texts[KEY])
    except OSError as error:
        raise cannot_be_read(path, error) from error
    except ImportError as error:
        raise UserError(f"{path}: {INSTALL} ({error})") from error
    except KeyError as error:
        raise UserError(f"{path}: another program wrote it: it has no {KEY!r} metadata") from error
    except Exception as error:  # of a damaged file
        raise UserError(f"{path}: is damaged, or no exported model ({reason(error)})") from error


class ExportedModel(EngineModel):
    """A model from the pixels of an image to its classes, in a file.

    `cfg` holds the metadata of the file (`model`) and the steps that come before it.
    """

    def __init__(self, facts: dict[str, Any], session: Session) -> None:
        # The file normalises images; `unit` asks for a 255th of them.
        count, kind = len(facts["bands"]), facts["input"]
        tensor, rgb = kind == "tensor", tuple(facts["bands"]) == RGB
        preprocessor = SegDataPreProcessor(
            facts["mean"] if tensor else [0] * count,
            facts["std"] if tensor else [255 if kind == "unit" else 1] * count,
            size=facts["window"] and tuple(facts["window"]),
            bgr_to_rgb=facts["bgr_to_rgb"] if tensor else rgb,
        )
        head = Head(len(facts["classes"]), facts["align_corners"])
        super().__init__(session, preprocessor, head, hash_of(facts))
        self.facts = facts
        self.test_cfg = facts["test_cfg"]
        known = ("classes", "palette", "bands", "bits", "gsd", "reduce_zero_label")
        self.dataset_meta = {key: facts[key] for key in known if facts.get(key) is not None}
        self.cfg = Config(
            {"model": facts, "test_dataloader": {"dataset": {"pipeline": _steps(facts)}}}
        )

    def logits(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) -> logits (B, K, H, W), up to a constant for each pixel."""
        if self.facts["input"] == "image":
            kind = SAMPLES[self.facts["bits"]]
            x = (x.round() if kind != torch.float32 else x).to(kind)
            x = x.permute(0, 2, 3, 1) if self.facts["layout"] == "nhwc" else x
        scores = self.session(x)
        if self.facts["output"] == "probabilities":
            return scores.clamp_min(torch.finfo(scores.dtype).tiny).log()
        return scores

    def predict(
        self, inputs: Sequence[Tensor], data_samples: Sequence[SegDataSample]
    ) -> Sequence[SegDataSample]:
        """Add `pred_sem_seg`, (1, H, W) uint8 at the original size, to each sample.

        If the image was resized, the classes of a file without scores are those of the nearest
        pixel.
        """
        if self.facts["output"] != "classes":
            return super().predict(inputs, data_samples)
        for image, sample in zip(inputs, data_samples, strict=True):
            ids = self.logits(image[None])[None]
            ids = F.interpolate(ids, tuple(sample.metainfo["ori_shape"]), mode="nearest")
            sample.pred_sem_seg = PixelData(data=ids[0])
        return data_samples


def _steps(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the steps of a test pipeline that the file leaves to its caller."""
    rule, steps = facts["resize"], [{"type": "LoadImageFromFile"}]
    if rule["scale"]:
        resize = {"type": "Resize", "scale": tuple(rule["scale"]), "keep_ratio": rule["keep_ratio"]}
        steps.append(resize)
    # The file stretches too. In whole numbers, as here, it is exactly what the model was tested on.
    if rule["stretch"] > 1 and facts["output"] != "classes":
        steps.append({"type": "ResizeToMultiple", "size_divisor": rule["stretch"]})
    return [*steps, {"type": "PackSegInputs"}]
