"""Functions for notebooks: build a model from a config and a checkpoint, and predict images."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope

from mmseg.checkpoints.dialects import class_names
from mmseg.checkpoints.loading import (
    check_number_of_classes,
    load_model_weights,
    warn_of_other_classes,
)
from mmseg.config import load_config
from mmseg.config.changes import use_rank
from mmseg.config.parts import parts_of
from mmseg.datasets.check import build_parts
from mmseg.errors import UserError
from mmseg.export.engines import for_inference
from mmseg.imagery.image import read_image
from mmseg.imagery.pictures import overlay, write_image
from mmseg.models import EncoderDecoder
from mmseg.ops import triton
from mmseg.registry import MODELS, SCOPE
from mmseg.structures import SegDataSample


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
    engine: str = "torch",
) -> EncoderDecoder:
    """Build a model for inference; `model.cfg` is its config and `model.dataset_meta` its classes.

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
    if isinstance(config, str | Path):
        config = load_config(config)
    elif not isinstance(config, Config):
        config = Config(dict(config))
    if config.get("test_dataloader") is None:
        raise UserError("the config has no test_dataloader, which tells the classes and the size")
    use_rank(config, nmf_rank)
    triton.enable(config.get("triton_kernels", False))
    model = MODELS.build(config.model)
    model.cfg = config
    model.dataset_meta = build_parts(config.test_dataloader.dataset)[0].metainfo
    check_number_of_classes(model, model.dataset_meta["classes"])
    if checkpoint is not None:
        rank = (config.get("load_cfg") or {}).get("nmf_rank")
        stored = class_names(load_model_weights(model, checkpoint, nmf_rank=rank))
        if stored:
            classes = model.dataset_meta["classes"]
            warn_of_other_classes(stored[0], str(checkpoint), classes, "the config's data set")
    model = model.to(device).eval()
    return cast(EncoderDecoder, for_inference(model, engine, checkpoint)) if fused else model


def inference_model(
    model: EncoderDecoder, images: str | Path | np.ndarray | Sequence[str | Path | np.ndarray]
) -> SegDataSample | list[SegDataSample]:
    """Predict one image or a list of them, each a file or a (H, W, 3) uint8 BGR array.

    Returns samples with `pred_sem_seg.data`, (1, H, W) uint8 class ids at the size of the image. A
    model in training mode predicts as in evaluation mode and stays in training mode. Several
    threads may share a model in evaluation mode. Raises `UserError` for anything but an image.
    """
    several, listed = _listed(images)
    samples = list(predict_images(model, listed))
    return samples if several else samples[0]


def predict_images(
    model: EncoderDecoder, images: Iterable[str | Path | np.ndarray]
) -> Iterator[SegDataSample]:
    """Predict images one after the other with `inference_model`; only one is in memory."""
    steps = parts_of(model.cfg.test_dataloader.dataset)[0]["pipeline"]
    with DefaultScope.overwrite_default_scope(SCOPE):
        pipeline = Compose([step for step in steps if step["type"] != "LoadAnnotations"])
    for image in images:
        data = pseudo_collate([pipeline(_as_input(image))])
        # The contexts end before the yield, because the caller may be training.
        with _evaluation(model), torch.no_grad():
            (sample,) = model.test_step(data)
        yield sample


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


def _listed(images: Any) -> tuple[bool, Iterable[Any]]:
    """Return whether several images are given, and all of them; anything else counts as one."""
    several = isinstance(images, Iterable) and not isinstance(images, str | Path | np.ndarray)
    return several, images if several else [images]


def _as_input(image: str | Path | np.ndarray) -> dict:
    if isinstance(image, str | Path):
        return {"img_path": str(image)}
    is_array = isinstance(image, np.ndarray)
    if is_array and image.shape[2:] == (3,) and image.size and image.dtype == np.uint8:
        return {"img": image, "img_path": ""}
    found = f"{image.shape} {image.dtype}" if is_array else type(image).__name__
    raise UserError(
        f"an image is a file's name or a (height, width, 3) uint8 array in BGR order, not {found}"
    )


def init_segmentor(
    config: str | Path | Config, checkpoint: str | Path | None = None, device: str | None = None
) -> EncoderDecoder:
    """Call `init_model`; this is its name in MMSegmentation 0.x."""
    return init_model(config, checkpoint, device)


def inference_segmentor(
    model: EncoderDecoder, imgs: str | Path | np.ndarray | Sequence[str | Path | np.ndarray]
) -> list[np.ndarray]:
    """Predict as in MMSegmentation 0.x: one (H, W) array of class ids per image, in a list."""
    return [_class_ids(sample) for sample in predict_images(model, _listed(imgs)[1])]


def show_result_pyplot(
    model: EncoderDecoder,
    img: str | Path | np.ndarray,
    result: SegDataSample | Sequence[SegDataSample] | Sequence[np.ndarray],
    palette: Sequence[Sequence[int]] | None = None,
    fig_size: tuple[float, float] = (15, 10),
    opacity: float = 0.5,
    title: str = "",
    block: bool = True,
    show: bool = True,
    out_file: str | Path | None = None,
) -> np.ndarray:
    """Draw a prediction over its image; show it with matplotlib and write it to `out_file`.

    `img` is a file or a BGR array. `result` is the return value of `inference_model` or
    `inference_segmentor` for it. Returns the picture, (H, W, 3) uint8 RGB.
    """
    first = result if isinstance(result, SegDataSample) else result[0]
    ids = _class_ids(first) if isinstance(first, SegDataSample) else np.asarray(first)
    image = img if isinstance(img, np.ndarray) else read_image(str(img))
    if ids.shape != image.shape[:2]:
        raise UserError(
            f"the result is of an image of {ids.shape[1]}x{ids.shape[0]} pixels, this one has "
            f"{image.shape[1]}x{image.shape[0]}"
        )
    colours = model.dataset_meta["palette"] if palette is None else palette
    picture = overlay(mmcv.bgr2rgb(image), ids.astype(np.uint8), colours, opacity)
    if out_file is not None:
        write_image(Path(out_file), picture)
    if show:
        from matplotlib import pyplot

        pyplot.figure(figsize=fig_size)
        pyplot.imshow(picture)
        pyplot.title(title)
        pyplot.axis("off")
        pyplot.show(block=block)
    return picture


def _class_ids(sample: SegDataSample) -> np.ndarray:
    return sample.pred_sem_seg.data[0].cpu().numpy()
