"""Predictions and pictures as code for MMSegmentation asks for them."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import mmcv
import numpy as np
import torch
from matplotlib import pyplot
from mmengine.config import Config
from mmengine.registry import VISUALIZERS
from mmengine.registry import init_default_scope as set_scope
from mmengine.structures import PixelData
from mmengine.visualization import Visualizer
from PIL import Image, ImageDraw

from mmseg.apis import inference_model, init_model, listed, predict_images
from mmseg.errors import UserError
from mmseg.imagery import list_images, read_image
from mmseg.imagery.listing import IMAGE_SUFFIXES
from mmseg.imagery.pictures import Palette, overlay, write_id_png
from mmseg.models import EncoderDecoder
from mmseg.peers.datasets import get_classes, get_palette
from mmseg.registry import SCOPE
from mmseg.structures import SegDataSample

ImageLike = str | Path | np.ndarray


def register_all_modules(init_default_scope: bool = True) -> None:
    """Let names in configs mean this project's, which are registered when they are looked up."""
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
    model.show_result = partial(_show_result, model)
    return model


def _show_result(
    model: Any, img: Any, result: Any, palette: Any = None, win_name: str = "", **how: Any
) -> np.ndarray:
    how = {"title": win_name, "show": False, **how}
    return mmcv.rgb2bgr(show_result_pyplot(model, img, result, palette, **how))


def inference_segmentor(
    model: EncoderDecoder, imgs: ImageLike | Sequence[ImageLike]
) -> list[np.ndarray]:
    """Predict as 0.x: one (H, W) array of class ids per image, int64, in a list."""
    return [_class_ids(sample) for sample in predict_images(model, listed(imgs)[1])]


def _class_ids(sample: SegDataSample) -> np.ndarray:
    return sample.pred_sem_seg.data[0].long().cpu().numpy()


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
    wait_time: float = 0,
    save_dir: str | Path | None = None,
    **drawn: bool,
) -> np.ndarray:
    """Draw a prediction over its image, with the arguments of 0.x and 1.x.

    `img` is a file or a BGR array. `result` is the return value of `inference_model` or
    `inference_segmentor` for it; `draw_gt`, `draw_pred` and `with_labels` choose what of it is
    drawn. The picture is written to `out_file` and into `save_dir`, and shown with matplotlib,
    which waits `wait_time` seconds, 0 for ever, or not at all without `block`. Returns it, uint8
    RGB.
    """
    sample: Any = result if isinstance(result, SegDataSample) else result[0]
    if not isinstance(sample, SegDataSample):
        sample = SegDataSample(pred_sem_seg=PixelData(data=torch.as_tensor(sample)[None]))
    image = mmcv.bgr2rgb(img if isinstance(img, np.ndarray) else read_image(str(img)))
    sizes = [f"{each[1]}x{each[0]}" for each in (sample.pred_sem_seg.shape, image.shape)]
    if sizes[0] != sizes[1]:
        raise UserError(f"the result is of an image of {sizes[0]} pixels, this one has {sizes[1]}")
    meta = {**model.dataset_meta, **({} if palette is None else {"palette": palette})}
    picture = draw(image, sample, meta, opacity, **{"with_labels": False, **drawn})
    for file in filter(None, (save_dir and f"{save_dir}/{title or 'result'}.png", out_file)):
        mmcv.imwrite(mmcv.rgb2bgr(picture), str(file))
    if show:
        figure = pyplot.figure(title, figsize=fig_size)
        pyplot.imshow(picture)
        pyplot.show(block=block and not wait_time)
        if wait_time:
            pyplot.pause(wait_time)
        pyplot.close(figure)
    return picture


def draw(
    image: np.ndarray,
    sample: SegDataSample | None,
    meta: Mapping,
    opacity: float,
    draw_gt: bool = True,
    draw_pred: bool = True,
    with_labels: bool = True,
) -> np.ndarray:
    """Lay labels and prediction of a sample over its RGB image, (H, W, 3) uint8, side by side.

    `meta` has classes and palette. `with_labels` writes the names of classes at one of their
    pixels. A sample without maps gives the image.
    """
    wanted = {"gt_sem_seg": draw_gt, "pred_sem_seg": draw_pred}
    maps = [sample.get(key) for key, drawn in wanted.items() if drawn and sample is not None]
    pictures = []
    for each in filter(None, maps):
        ids = np.asarray(torch.as_tensor(each.data[0]).cpu()).astype(np.uint8)
        canvas = Image.fromarray(overlay(image, ids, meta["palette"], opacity))
        for index in np.unique(ids[ids < len(meta["classes"])]) if with_labels else ():
            rows, columns = np.nonzero(ids == index)
            place, name = (columns[len(rows) // 2], rows[len(rows) // 2]), meta["classes"][index]
            ImageDraw.Draw(canvas).text(place, name, stroke_width=1, stroke_fill="black")
        pictures.append(np.asarray(canvas))
    return np.hstack(pictures or [image])


@VISUALIZERS.register_module()
class SegLocalVisualizer(Visualizer):
    """Draws a sample's labels and prediction over its image, labels at the left.

    Classes and colours are those given, or of the data set `dataset_name`, by default cityscapes;
    `dataset_meta` may be set later. `alpha` is the opacity.
    """

    def __init__(
        self,
        name: str = "visualizer",
        *args: Any,
        classes: Sequence[str] | None = None,
        palette: Palette | None = None,
        dataset_name: str | None = None,
        alpha: float = 0.8,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, *args, **kwargs)
        known = dataset_name or "cityscapes"
        classes, palette = classes or get_classes(known), palette or get_palette(known)
        self.dataset_meta = {"classes": classes, "palette": palette}
        self.alpha = alpha

    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: SegDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        step: int = 0,
        with_labels: bool = True,
    ) -> None:
        """Draw a sample over its RGB image; show it, and write it to a file or the backends."""
        what = draw_gt, draw_pred, with_labels
        picture = draw(image, data_sample, self.dataset_meta, self.alpha, *what)
        self.set_image(picture)
        if show:
            self.show(picture, win_name=name, wait_time=wait_time)
        if out_file is not None:
            mmcv.imwrite(mmcv.rgb2bgr(picture), str(out_file))
        else:
            self.add_image(name, picture, step)


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
        out_dir: str = "",
        img_out_dir: str = "vis",
        pred_out_dir: str = "pred",
        **drawing: Any,
    ) -> Any:
        """Predict an image, the images of a folder, an array (H, W, 3) BGR or a list of them.

        Returns `dict(predictions=..., visualization=...)`: (H, W) int64 class ids and RGB pictures,
        each alone for a single image and in a list for several; or the samples. With `out_dir`,
        pictures and class ids (8-bit PNGs) are written into its folders. An image is predicted
        alone, whatever `batch_size` is. `drawing` is `show`, `wait_time`, `with_labels` or
        `opacity`.
        """
        drawing = {"show": False, "opacity": 0.8, "with_labels": True, **drawing}
        samples, pictures, folder = [], [], isinstance(inputs, str | Path) and Path(inputs).is_dir()
        for image in list_images([str(inputs)], IMAGE_SUFFIXES) if folder else listed(inputs)[1]:
            samples.append(sample := cast(SegDataSample, inference_model(self.model, image)))
            number = f"{self.count:08d}"
            self.count += 1
            if out_dir and pred_out_dir:
                path = Path(out_dir, pred_out_dir, f"{number}_pred.png")
                ids = _class_ids(sample).astype(np.uint8)
                write_id_png(path, ids, self.model.dataset_meta["palette"])
            name = f"{number}_vis.jpg" if isinstance(image, np.ndarray) else Path(image).name
            target = Path(out_dir, img_out_dir, name) if out_dir and img_out_dir else None
            if target or return_vis or drawing["show"]:
                how = {**drawing, "out_file": target}
                pictures.append(show_result_pyplot(self.model, image, sample, **how))
        if return_datasamples:
            return samples if len(samples) > 1 else samples[0]
        predicted = [_class_ids(sample) for sample in samples]
        found = {"predictions": predicted, "visualization": pictures if return_vis else []}
        return found if len(samples) > 1 else {k: v[0] if v else v for k, v in found.items()}
