"""Functions for notebooks: build a model from a config and a checkpoint, and predict images."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from PIL import Image, ImageOps

from mmseg.checkpoints import loading
from mmseg.checkpoints.dialects import class_names, metadata
from mmseg.checkpoints.hub import is_hub
from mmseg.config import load_config, translate_config
from mmseg.config.changes import keep_test_scale, use_rank
from mmseg.config.parts import parts_of
from mmseg.datasets.check import build_parts
from mmseg.errors import UserError
from mmseg.export.engines import for_inference
from mmseg.imagery import bands as imagery
from mmseg.imagery.image import read_picture
from mmseg.imagery.pictures import overlay
from mmseg.models import EncoderDecoder
from mmseg.ops import triton
from mmseg.ops.class_map import best_class
from mmseg.ops.device import by_default
from mmseg.registry import MODELS, SCOPE
from mmseg.structures import SegDataSample

AnyImage = str | Path | np.ndarray | Image.Image


class Prediction(SegDataSample):
    """A predicted sample with its `image`, a file or an array, and the model's `dataset_meta`."""

    image: str | np.ndarray
    dataset_meta: Mapping

    def plot(self, opacity: float = 0.5) -> Image.Image:
        """Draw the classes over the image; a notebook shows the picture, its `save` writes it."""
        if isinstance(self.image, str):
            shown = read_picture(self.image, self.dataset_meta)
        else:
            shown = imagery.picture(self.image, self.dataset_meta.get("bands"))
        ids = self.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)
        return Image.fromarray(overlay(shown, ids, self.dataset_meta["palette"], opacity))


def default_device() -> str:
    """Return the first GPU, or the CPU of a machine without GPUs."""
    return "cuda:0" if torch.cuda.is_available() else "cpu"


def check_device(device: str) -> None:
    """Raise `UserError` for a device that torch does not know or this machine does not have."""
    try:
        known = torch.device(device)
    except RuntimeError as error:
        raise UserError(f"device {device!r}: give cpu, cuda or cuda:N") from error
    if known.type == "cuda" and (known.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"device {device}: torch sees {torch.cuda.device_count()} GPUs, counted from 0"
        )


def init_model(
    config: str | Path | Config | Mapping,
    checkpoint: str | Path | None = None,
    device: str | None = None,
    nmf_rank: int | None = None,
    fused: bool = True,
    cfg_options: Mapping | None = None,
    engine: str = "torch",
) -> EncoderDecoder:
    """Build a model for inference; `model.cfg` is its config and `model.dataset_meta` its classes.

    The config may be of any dialect. `cfg_options` ('a.b.c': value) change keys of it. A model on
    the Hugging Face Hub, `hf-hub:owner/name[@revision]`, takes the place of config and checkpoint.

    `nmf_rank` is the rank that the checkpoint was trained with. Give it if the file tells none or a
    wrong one; it is written into the config. The config's `triton_kernels` holds for the process.

    By default the model is fused: batch norm and layer scale are folded into its convolutions,
    which is faster and gives the same results up to rounding. A fused model cannot be trained, its
    `state_dict` is no checkpoint, and it has no layers of MSCAN to hook or patch. `fused=False`
    gives the plain model for all this. `mmseg.inference.fuse` makes a fused copy of it later.
    `engine` lets an inference engine run the network: see `mmseg.export.for_inference`.

    Raises `UserError` when the checkpoint does not fit the config, when the number of classes is
    not that of the data set, or when the device does not exist.
    """
    check_device(device := device or default_device())
    if checkpoint is None and is_hub(config):
        checkpoint = cast(str, config)
    read: Any = load_config if isinstance(config, str | Path) else translate_config
    config = read(config, cfg_options)
    if config.get("test_dataloader") is None:
        raise UserError("the config has no test_dataloader, which tells the classes and the size")
    use_rank(config, nmf_rank)
    triton.enable(config.get("triton_kernels", by_default("triton_kernels")))
    model = MODELS.build(config.model)
    model.cfg = config
    model.dataset_meta = build_parts(config.test_dataloader.dataset)[0].metainfo
    loading.check_number_of_classes(model, model.dataset_meta["classes"])
    if checkpoint is not None:
        _load(model, str(checkpoint))
    model = model.to(device).eval()
    return cast(EncoderDecoder, for_inference(model, engine, checkpoint)) if fused else model


def _load(model: EncoderDecoder, checkpoint: str) -> None:
    rank = (model.cfg.get("load_cfg") or {}).get("nmf_rank")
    content = loading.load_model_weights(model, checkpoint, nmf_rank=rank)
    keep_test_scale(model.cfg, checkpoint, content)
    stored, meta = metadata(content).get("dataset_meta") or {}, model.dataset_meta
    bands = {key: stored[key] for key in ("bands", "bits", "gsd") if key in stored}
    model.dataset_meta = {**meta, **bands}
    names = class_names(content)[0]
    loading.warn_of_other_classes(names, checkpoint, meta["classes"], "the config's data set")


def inference_model(
    model: EncoderDecoder,
    images: AnyImage | Sequence[AnyImage],
    channels: Literal["bgr", "rgb"] = "bgr",
    with_logits: bool = False,
) -> Prediction | list[Prediction]:
    """Predict one image or a list of them: files, PIL images, or (H, W, 3) uint8 arrays.

    `channels` is the order of the colours in arrays; that of OpenCV, and of MMSegmentation, is BGR.
    An array of other bands is (H, W, C), in the order and the bits of `model.dataset_meta`.

    Returns samples with `pred_sem_seg.data`, (1, H, W) int64 class ids at the size of the image.
    Their `plot()` draws them. With `with_logits` they also have `seg_logits.data`, (K, H, W)
    float32; `softmax(0)` makes probabilities of them. A model in training mode predicts as in
    evaluation mode and stays in training mode. Several threads may share a model in evaluation
    mode. Raises `UserError` for anything but an image.
    """
    several, every = listed(images)
    samples = list(predict_images(model, every, channels, with_logits))
    for sample in samples:
        sample.pred_sem_seg.data = sample.pred_sem_seg.data.long()  # uint8 would overflow in sums
    return samples if several else samples[0]


def predict_images(
    model: EncoderDecoder,
    images: Iterable[AnyImage],
    channels: Literal["bgr", "rgb"] = "bgr",
    with_logits: bool = False,
) -> Iterator[Prediction]:
    """Predict images one after the other, with uint8 class ids; only one is in memory."""
    if channels not in ("bgr", "rgb"):
        raise UserError(f"channels={channels!r}: give 'bgr' or 'rgb'")
    steps = parts_of(model.cfg.test_dataloader.dataset)[0]["pipeline"]
    with DefaultScope.overwrite_default_scope(SCOPE):
        pipeline = Compose([step for step in steps if step["type"] != "LoadAnnotations"])
    for image in images:
        given = _as_input(image, channels, model.dataset_meta)
        data = pseudo_collate([pipeline(dict(given))])
        # The contexts end before the yield, because the caller may be training.
        with _evaluation(model), torch.no_grad():
            if with_logits:
                data = model.data_preprocessor(data)
                (logits,), (sample,) = model.predict_logits(**data), data["data_samples"]
                sample.seg_logits = PixelData(data=logits)
                sample.pred_sem_seg = PixelData(data=best_class(logits)[None])
            else:
                (sample,) = model.test_step(data)
        image = given.get("img", given["img_path"])
        more = {"image": image, "dataset_meta": model.dataset_meta}
        yield Prediction(metainfo=sample.metainfo, **dict(sample.items()), **more)


@contextmanager
def _evaluation(model: EncoderDecoder) -> Iterator[None]:
    """Put a model into evaluation mode for a prediction, and each part back into its own mode."""
    modes = [(module, module.training) for module in model.modules() if model.training]
    for module, _ in modes:
        module.training = False
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def listed(images: Any) -> tuple[bool, Iterable[Any]]:
    """Return whether several images are given, and all of them; anything else counts as one."""
    several = isinstance(images, Iterable) and not isinstance(images, AnyImage)
    return several, images if several else [images]


def _as_input(image: AnyImage, channels: str, meta: Mapping) -> dict:
    facts = {key: meta[key] for key in ("bands", "bits") if key in meta}
    if isinstance(image, str | Path):
        return {"img_path": str(image), **facts}
    bands, bits = meta.get("bands") or imagery.RGB, meta.get("bits", "uint8")
    is_bgr = imagery.is_bgr(bands, bits)
    if isinstance(image, Image.Image):
        image, channels = np.asarray(ImageOps.exif_transpose(image).convert("RGB")), "rgb"
    is_array = isinstance(image, np.ndarray)
    if is_array and image.shape[2:] == (len(bands),) and image.size and image.dtype == bits:
        turned = is_bgr and channels == "rgb"
        return {"img": image[..., ::-1].copy() if turned else image, "img_path": "", **facts}
    found = f"{image.shape} {image.dtype}" if is_array else type(image).__name__
    raise UserError(
        f"an image is a file's name, a PIL image or a (height, width, {len(bands)}) {bits} array "
        f"of {', '.join(bands)}, not {found}"
    )
