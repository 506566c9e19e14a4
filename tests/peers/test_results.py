"""Predictions and pictures as code for MMSegmentation asks for them."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.utils import get_classes, get_palette
from mmseg.visualization import SegLocalVisualizer
from PIL import Image
from tiny_project import write_project

from mmseg.apis import (
    MMSegInferencer,
    inference_model,
    inference_segmentor,
    init_segmentor,
    show_result_pyplot,
)
from mmseg.datasets import ADE20KDataset, PascalVOCDataset
from mmseg.errors import UserError
from mmseg.imagery.pictures import overlay
from mmseg.structures import SegDataSample


@pytest.fixture
def config(tmp_path):
    torch.manual_seed(0)
    write_project(tmp_path)
    return str(tmp_path / "tiny.py")


@pytest.fixture
def model(config):
    return init_segmentor(config, device="cpu")


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)


def test_class_ids_of_a_prediction_can_be_counted_with(model, image):
    ids = inference_model(model, image).pred_sem_seg.data
    assert ids.dtype == torch.int64 and ids.shape == (1, 40, 64)
    (old,) = inference_segmentor(model, image)
    assert old.dtype == np.int64 and np.array_equal(old, ids[0].numpy())


def test_a_model_of_0_x_has_its_classes_and_draws_its_results(model, image, tmp_path):
    assert model.CLASSES == ("ground", "roof", "tree") and model.PALETTE[1] == (200, 0, 0)
    result = inference_segmentor(model, image)
    picture = model.show_result(image, result, opacity=1, out_file=tmp_path / "drawn.png")
    expected = np.array(model.PALETTE, np.uint8)[result[0]][..., ::-1]
    np.testing.assert_array_equal(picture, expected)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "drawn.png")), expected)


def test_a_picture_takes_the_arguments_of_1_x(model, image, tmp_path):
    sample = inference_model(model, image)
    sample.gt_sem_seg = PixelData(data=torch.zeros(1, 40, 64, dtype=torch.uint8))
    options = {"show": False, "wait_time": 0, "with_labels": False, "title": "mine"}
    both = show_result_pyplot(model, image, sample, save_dir=tmp_path, **options)
    assert both.shape == (40, 128, 3) and (tmp_path / "mine.png").is_file()
    predicted = show_result_pyplot(model, image, sample, draw_gt=False, **options)
    np.testing.assert_array_equal(both[:, 64:], predicted)
    named = show_result_pyplot(
        model, image, sample, draw_gt=False, **{**options, "with_labels": True}
    )
    assert (named != predicted).any()


def test_the_inferencer_takes_an_image_a_folder_and_arrays(config, image, tmp_path):
    inferencer = MMSegInferencer(config, device="cpu", dataset_name="cityscapes")
    alone = inferencer(image)
    assert alone["predictions"].shape == (40, 64) and alone["predictions"].dtype == np.int64
    several = inferencer([image, image[:32]], return_vis=True)
    assert [ids.shape for ids in several["predictions"]] == [(40, 64), (32, 64)]
    assert [picture.shape for picture in several["visualization"]] == [(40, 64, 3), (32, 64, 3)]
    assert isinstance(inferencer(image, return_datasamples=True), SegDataSample)
    folder = tmp_path / "data/val/images"
    found = inferencer(str(folder), out_dir=str(tmp_path / "out"))
    assert len(found["predictions"]) == 5
    assert sorted(p.name for p in (tmp_path / "out/vis").iterdir()) == sorted(
        p.name for p in folder.iterdir()
    )
    masks = sorted((tmp_path / "out/pred").iterdir())
    for mask, ids in zip(masks, found["predictions"], strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(mask)), ids)


def test_the_visualizer_draws_labels_and_prediction_with_its_classes(image, tmp_path):
    ids = [np.random.default_rng(seed).integers(0, 2, (40, 64)) for seed in (1, 2)]
    sample = SegDataSample(
        gt_sem_seg=PixelData(data=torch.from_numpy(ids[0][None])),
        pred_sem_seg=PixelData(data=torch.from_numpy(ids[1][None])),
    )
    palette = [[120, 120, 120], [6, 230, 230]]
    visualizer = SegLocalVisualizer(alpha=0.25, classes=("a", "b"), palette=palette)
    file = tmp_path / "drawn.png"
    visualizer.add_datasample("x", image, sample, out_file=str(file), with_labels=False)
    expected = [overlay(image, each.astype(np.uint8), palette, 0.25) for each in ids]
    np.testing.assert_array_equal(np.asarray(Image.open(file)), np.hstack(expected))
    np.testing.assert_array_equal(visualizer.get_image(), np.hstack(expected))


def test_classes_and_colours_are_found_by_the_names_that_data_sets_have_there():
    assert get_classes("pascal_voc") == get_classes("voc12aug")
    assert tuple(get_classes("voc")) == PascalVOCDataset.METAINFO["classes"]
    assert get_palette("ade20k") == ADE20KDataset.METAINFO["palette"]
    assert get_classes("potsdam") == get_classes("vaihingen")
    with pytest.raises(UserError, match="data set 'moon': there are ade, "):
        get_classes("moon")
