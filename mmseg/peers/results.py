"""Predictions as code for MMSegmentation asks for them."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope as set_scope
from mmengine.structures import PixelData

from mmseg.apis import inference_model, init_model, listed, predict_images
from mmseg.errors import UserError
from mmseg.imagery import list_images, read_image
from mmseg.imagery.listing import IMAGE_SUFFIXES
from mmseg.imagery.pictures import Palette, write_id_png
from mmseg.models import EncoderDecoder
from mmseg.peers.visualizer import draw, write_picture
from mmseg.registry import SCOPE
from mmseg.structures import SegDataSample

ImageLike = str | Path | np.ndarray


def register_all_modules(init_default_scope: bool = True) -> None:
    """Let names in configs mean this project's classes, which are registered when they are used."""
    if init_default_scope:
        set_scope(SCOPE)


def init_segmentor(
    config: str | Path | Config | Mapping,
    checkpoint: str | Path | None = None,
    device: str | None = None,
) -> EncoderDecoder:
    """Call `init_model`; the model also has `CLASSES`, `PALETTE` and `show_result` of 0.x."""
    model: Any = init_model(config, checkpoint, device)
    model.CLASSES, model.PALETTE = (model.dataset_meta[key] for key in ("classes", "palette"))
    model.show_result = partial(show_result, model)
    return model


def inference_segmentor(
    model: EncoderDecoder, imgs: ImageLike | Sequence[ImageLike]
) -> list[np.ndarray]:
    """Predict as 0.x: one (H, W) array of class ids per image, int64, in a list."""
    samples = predict_images(model, listed(imgs)[1])
    return [_class_ids(sample) for sample in samples]


def show_result(
    model: EncoderDecoder,
    img: ImageLike,
    result: SegDataSample | Sequence,
    palette: Palette | None = None,
    win_name: str = "",
    show: bool = False,
    wait_time: float = 0,
    out_file: str | Path | None = None,
    opacity: float = 0.5,
) -> np.ndarray:
    """Draw as the method of that name of models of 0.x; returns BGR, (H, W, 3) uint8."""
    where = (win_name, True, show, out_file)
    picture = show_result_pyplot(
        model, img, result, palette, (15, 10), opacity, *where, wait_time=wait_time
    )
    return mmcv.rgb2bgr(picture)


def show_result_pyplot(
    model: EncoderDecoder,
    img: ImageLike,
    result: SegDataSample | Sequence[SegDataSample] | Sequence[np.ndarray],
    palette: Palette | None = None,
    fig_size: tuple[float, float] = (15, 10),
    opacity: float = 0.5,
    title: str = "",
    block: bool = True,
    show: bool = True,
    out_file: str | Path | None = None,
    *,
    draw_gt: bool = True,
    draw_pred: bool = True,
    wait_time: float = 0,
    with_labels: bool = False,
    save_dir: str | Path | None = None,
) -> np.ndarray:
    """Draw a prediction over its image, with the arguments of 0.x and 1.x.

    `img` is a file or a BGR array. `result` is the return value of `inference_model` or
    `inference_segmentor` for it. Labels in the result are drawn at the left if `draw_gt`. The
    picture is written to `out_file` and to `save_dir`, and shown with matplotlib, which waits
    `wait_time` seconds, 0 for ever, or not at all without `block`. Returns it, uint8 RGB.
    """
    sample = result if isinstance(result, SegDataSample) else result[0]
    if not isinstance(sample, SegDataSample):
        ids = PixelData(data=torch.as_tensor(np.asarray(sample))[None])
        sample = SegDataSample(pred_sem_seg=ids)
    image = img if isinstance(img, np.ndarray) else read_image(str(img))
    height, width = sample.pred_sem_seg.shape
    if (height, width) != image.shape[:2]:
        raise UserError(
            f"the result is of an image of {width}x{height} pixels, this one has "
            f"{image.shape[1]}x{image.shape[0]}"
        )
    meta = {**model.dataset_meta, **({} if palette is None else {"palette": palette})}
    picture = draw(mmcv.bgr2rgb(image), sample, meta, opacity, draw_gt, draw_pred, with_labels)
    if out_file is not None:
        write_picture(out_file, picture)
    if save_dir is not None:
        write_picture(Path(save_dir, f"{title or 'result'}.png"), picture)
    if show:
        from matplotlib import pyplot

        figure = pyplot.figure(title, figsize=fig_size)
        pyplot.imshow(picture)
        pyplot.show(block=block and not wait_time)
        if wait_time:
            pyplot.pause(wait_time)
        pyplot.close(figure)
    return picture


def _class_ids(sample: SegDataSample) -> np.ndarray:
    return sample.pred_sem_seg.data[0].long().cpu().numpy()


class MMSegInferencer:
    """Predicts images, folders and arrays: `MMSegInferencer(config, checkpoint)(images)`.

    Classes and colours are those of the model unless `classes` or `palette` are given. There is
    `dataset_name` too, because MMSegmentation has it; it has no effect there either.
    """

    def __init__(
        self,
        model: str | Path | Config | Mapping,
        weights: str | None = None,
        classes: Sequence[str] | None = None,
        palette: Palette | None = None,
        dataset_name: str | None = None,
        device: str | None = None,
        scope: str | None = SCOPE,
    ) -> None:
        self.model = init_model(model, weights, device)
        given = {"classes": classes, "palette": palette}
        self.model.dataset_meta |= {k: v for k, v in given.items() if v is not None}
        self.count = 0

    def __call__(
        self,
        inputs: ImageLike | Sequence[ImageLike],
        return_datasamples: bool = False,
        batch_size: int = 1,
        return_vis: bool = False,
        show: bool = False,
        wait_time: float = 0,
        out_dir: str = "",
        img_out_dir: str = "vis",
        pred_out_dir: str = "pred",
        opacity: float = 0.8,
        with_labels: bool = True,
    ) -> Any:
        """Predict an image, the images of a folder, an array (H, W, 3) BGR or a list of them.

        Returns `dict(predictions=..., visualization=...)`: (H, W) int64 class ids and RGB pictures,
        each alone for a single image and in a list for several; or the samples. With `out_dir`,
        pictures and class ids (8-bit PNGs) are written into its folders. An image is predicted
        alone, whatever `batch_size` is.
        """
        samples, pictures, folder = [], [], isinstance(inputs, str | Path) and Path(inputs).is_dir()
        for image in list_images([str(inputs)], IMAGE_SUFFIXES) if folder else listed(inputs)[1]:
            sample = cast(SegDataSample, inference_model(self.model, image))
            samples.append(sample)
            if out_dir and pred_out_dir:
                path = Path(out_dir, pred_out_dir, f"{self.count:08d}_pred.png")
                write_id_png(
                    path, _class_ids(sample).astype(np.uint8), self.model.dataset_meta["palette"]
                )
            array = isinstance(image, np.ndarray)
            name = f"{self.count:08d}_vis.jpg" if array else Path(image).name
            target = Path(out_dir, img_out_dir, name) if out_dir and img_out_dir else None
            if target or return_vis or show:
                how: Any = {"show": show, "wait_time": wait_time, "with_labels": with_labels}
                how |= {"opacity": opacity, "out_file": target}
                pictures.append(show_result_pyplot(self.model, image, sample, **how))
            self.count += 1
        if return_datasamples:
            return samples if len(samples) > 1 else samples[0]
        ids = [_class_ids(sample) for sample in samples]
        found: dict[str, list] = {
            "predictions": ids,
            "visualization": pictures if return_vis else [],
        }
        return found if len(samples) > 1 else {k: v[0] if v else v for k, v in found.items()}
