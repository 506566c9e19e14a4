"""An exported file as a model: `load(path)`."""

import hashlib
import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmseg.errors import UserError, reason
from mmseg.export.facts import KEY, to_text
from mmseg.export.graph import SAMPLES
from mmseg.export.session import Session, installed, need
from mmseg.imagery.bands import RGB, is_bgr
from mmseg.models import EncoderDecoder
from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.ops.class_map import rescale

SUFFIXES = (".onnx", ".xml")


def is_exported(path: object) -> bool:
    """Return whether a path is that of an exported file, by its suffix."""
    return Path(str(path)).suffix in SUFFIXES


def load(
    path: str | Path, engine: str = "auto", half: bool = False, scores: bool = False
) -> "EngineModel":
    """Return the model of a file that `tools/export.py` wrote: `.onnx`, or `.xml` with its `.bin`.

    It predicts as the model that was exported: `inference_model`, `map_scene` and the tools take
    it. `engine` is `openvino`, `onnxruntime` or `auto`, the first of these that is installed.
    `half` lets OpenVINO compute in bfloat16, as a file of this precision does. Raises `UserError`
    for another program's file, if no engine is installed, and with `scores` for a file that gives
    classes alone.
    """
    package = "openvino" if Path(path).suffix == ".xml" else "onnx"
    need(package)
    try:
        module = importlib.import_module(package)
        if package == "openvino":
            text = module.Core().read_model(path).get_rt_info(KEY).astype(str)
        else:
            content = module.load(path, load_external_data=False)
            text = {each.key: each.value for each in content.metadata_props}[KEY]
        facts = json.loads(text)
    except Exception as error:  # of a file that is absent, damaged or another program's
        raise UserError(f"{path}: no whole file of tools/export.py ({reason(error)})") from error
    if "order" not in facts and tuple(facts["bands"]) == RGB and facts["bits"] != "uint8":
        raise UserError(
            f"{path}: an earlier commit made it, and it exchanges red and blue of 16-bit images: "
            "export it again"
        )
    half = half or facts["precision"] == "bf16"
    if engine == "auto":
        known = installed(half or package == "openvino")
        engine = known[0] if known else "openvino"  # without any, `need` asks for this one
    if engine == "torch":
        raise UserError(f"{path}: PyTorch cannot run an exported file; use another --engine")
    need(engine)
    if facts["output"] == "classes" and (scores or facts["test_cfg"]["mode"] == "slide"):
        raise UserError(
            f"{path}: gives classes alone, which cannot be averaged: export it with --output "
            "probabilities"
        )
    model = EngineModel(facts, Session(path, engine, half))
    MMLogger.get_current_instance().info(f"{path} runs in {model.runs_in}")
    return model


class EngineModel(EncoderDecoder):
    """A segmentor whose network is a file that an engine runs on the CPU; for inference only.

    `facts` is the metadata of the file. `cfg` holds it as `model`, and the steps that come before
    the file. The only parameter, `identity`, is the hash of the metadata, weights among them.
    """

    decode_head: Any

    def __init__(self, facts: dict[str, Any], session: Session) -> None:
        count, flips = len(facts["bands"]), is_bgr(facts["bands"], facts["bits"])
        mean, std, flip = facts["mean"], facts["std"], facts["bgr_to_rgb"]
        if facts["input"] != "tensor":  # the file normalises; `unit` asks for a 255th of an image
            mean, std, flip = [0] * count, [255 if facts["input"] == "unit" else 1] * count, flips
        pad = {"size_divisor": facts["resize"]["pad"]} if facts["output"] == "coarse" else None
        size = facts["window"] and tuple(facts["window"])
        preprocessor = SegDataPreProcessor(mean, std, size, flip, test_cfg=pad)
        BaseModel.__init__(self, preprocessor)  # there is no network to build
        digest = hashlib.sha256(to_text(facts).encode()).digest()
        identity = torch.tensor(list(digest), dtype=torch.uint8)
        self.identity = nn.Parameter(identity, requires_grad=False)
        self.facts, self.session, self.runs_in = facts, session, session.name
        self.decode_head = SimpleNamespace(  # the part that predictions use
            num_classes=len(facts["classes"]),
            align_corners=facts["align_corners"],
            resize=lambda x, size: rescale(x, tuple(size), facts["align_corners"]),
        )
        self.test_cfg = facts["test_cfg"]
        known = ("classes", "palette", "bands", "bits", "gsd", "reduce_zero_label")
        self.dataset_meta = {key: facts[key] for key in known if facts[key] is not None}
        steps = {"dataset": {"pipeline": _steps(facts)}}
        self.cfg = Config({"model": facts, "test_dataloader": steps})
        self.eval()

    def train(self, mode: bool = True) -> "EngineModel":
        if mode:
            raise UserError("a model that runs in an engine is for inference only")
        return super().train(False)

    def logits(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) -> logits (B, K, H, W), up to a constant for each pixel.

        Those of a `coarse` file are at 1/8, and those of `classes` are 0 and 1.
        """
        if self.facts["input"] == "image":
            kind = SAMPLES[self.facts["bits"]]
            x = (x.round() if kind != torch.float32 else x).to(kind)
            x = x.permute(0, 2, 3, 1) if self.facts["layout"] == "nhwc" else x
        scores = self.session(x)
        if self.facts["output"] == "classes":
            scores = F.one_hot(scores.long(), self.decode_head.num_classes)
            return scores.permute(0, 3, 1, 2).float()
        if self.facts["output"] == "probabilities":
            return scores.clamp_min(torch.finfo(scores.dtype).tiny).log()
        return scores


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
