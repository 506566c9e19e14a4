"""The pipeline and the preprocessor with images of other than three 8-bit bands."""

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image

from mmseg.datasets import build_dataset
from mmseg.datasets.cache import ImageCache
from mmseg.datasets.transforms import PhotoMetricDistortion, RandomTurn
from mmseg.errors import UserError
from mmseg.imagery.geotiff import Affine, write_geotiff
from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.ops.photometric import distort
from mmseg.structures import SegDataSample, stack_batch

NAMES = ("red", "green", "blue", "nir", "swir")


def make_dataset(folder, bits, count, pipeline):
    """One image of 40 x 48 pixels whose upper left corner has no image."""
    rng = np.random.default_rng(1)
    image = rng.integers(1, 250, (40, 48, count)) * (1 if bits == "uint8" else 40)
    image = image.astype(bits)
    image[:8, :8] = np.nan if bits == "float32" else 0
    write_geotiff(folder / "img/a.tif", image, Affine(1, 0, 0, 0, -1, 0), "EPSG:32633")
    if bits != "float32":
        with rasterio.open(folder / "img/a.tif", "r+") as raster:
            raster.nodata = 0
    (folder / "ann").mkdir()
    Image.fromarray(rng.integers(0, 2, (40, 48)).astype(np.uint8)).save(folder / "ann/a.png")
    bands = [NAMES[i] if i < 5 else f"b{i}" for i in range(count)]
    info = {"classes": ("a", "b"), "palette": [(0, 0, 0), (9, 9, 9)], "bands": bands, "bits": bits}
    return image, build_dataset(
        {
            "type": "BaseSegDataset",
            "data_root": str(folder),
            "data_prefix": {"img_path": "img", "seg_map_path": "ann"},
            "img_suffix": ".tif",
            "metainfo": info,
            "pipeline": pipeline,
        }
    )


@pytest.mark.parametrize(
    ("bits", "count"), [("uint8", 4), ("uint16", 1), ("uint16", 16), ("float32", 2)]
)
def test_an_image_of_any_bands_and_bits_reaches_the_network(tmp_path, bits, count):
    mean = [100.0 + i for i in range(count)]
    pipeline = [
        {"type": "LoadImageFromFile", "fill": mean},
        {"type": "LoadAnnotations"},
        {
            "type": "RandomScaleCropFlip",
            "scale": (48, 40),
            "crop_size": (32, 32),
            "ratio_range": (1, 2),
        },
        {"type": "RandomTurn"},
        {"type": "PhotoMetricDistortion", "on_device": True},
        {"type": "PackSegInputs"},
    ]
    _, dataset = make_dataset(tmp_path, bits, count, pipeline)
    batch = stack_batch([dataset[0], dataset[0]])
    assert batch["inputs"].shape == (2, count, 32, 32) and str(batch["inputs"].dtype)[6:] == bits
    preprocess = SegDataPreProcessor(mean, [50.0] * count, size=(32, 32), bgr_to_rgb=False)
    inputs = preprocess(batch, training=True)["inputs"]
    assert inputs.shape == (2, count, 32, 32) and torch.isfinite(inputs).all()


@pytest.mark.parametrize("bits", ["uint8", "uint16", "float32"])
def test_pixels_without_image_are_0_for_the_network_and_ignored_in_the_labels(tmp_path, bits):
    mean = [100.0, 90.0, 80.0, 70.0]
    pipeline = [
        {"type": "LoadImageFromFile", "fill": mean},
        {"type": "LoadAnnotations"},
        {"type": "PackSegInputs"},
    ]
    image, dataset = make_dataset(tmp_path, bits, 4, pipeline)
    sample = dataset[0]
    preprocess = SegDataPreProcessor(mean, [50.0] * 4, bgr_to_rgb=False)
    data = {"inputs": [sample["inputs"]], "data_samples": [sample["data_samples"]]}
    found = preprocess(data)["inputs"][0].numpy()
    assert (found[:, :8, :8] == 0).all()
    expected = (image.transpose(2, 0, 1) - np.array(mean)[:, None, None]) / 50
    np.testing.assert_allclose(found[:, 8:], expected[:, 8:], rtol=1e-5)
    labels = sample["data_samples"].gt_sem_seg.data[0].numpy()
    assert (labels[:8, :8] == 255).all() and (labels[8:] < 2).all()


def test_images_of_any_bands_are_kept_in_memory(tmp_path, capfd):
    pipeline = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}]
    image, dataset = make_dataset(tmp_path, "uint16", 12, pipeline)
    sample = dataset.get_data_info(0)
    kept = ImageCache([sample], dataset.pipeline.transforms, skips=False).get(sample)
    np.testing.assert_array_equal(kept["img"], image)
    assert (kept["gt_seg_map"][:8, :8] == 255).all()
    assert "samples per pixel" not in capfd.readouterr().err


def test_turns_reach_every_position_and_labels_turn_with_the_image():
    ids = np.arange(16, dtype=np.uint8).reshape(4, 4)
    seen = set()
    np.random.seed(0)
    for _ in range(40):
        found = RandomTurn()({"img": np.dstack([ids] * 5), "gt_seg_map": ids})
        assert (found["img"][..., 4] == found["gt_seg_map"]).all()
        seen.add(found["gt_seg_map"].tobytes())
    assert seen == {np.rot90(ids, k).tobytes() for k in range(4)}
    wide = RandomTurn()({"img": np.zeros((4, 6, 5))})
    assert wide["img"].shape == (4, 6, 5)


def test_each_band_gets_its_own_brightness_and_hue_stays_with_red_green_blue():
    images = torch.full((1, 4, 1, 1), 100.0)
    images[0, 1] = 180  # nir, red, green, blue
    draws = {"brightness": (1.0, 2.0, 3.0, 4.0), "contrast": (1.0, 1.0, 2.0, 1.0), "hue": 60.0}
    before = images[0, :, 0, 0] + torch.tensor([1.0, 2.0, 3.0, 4.0])
    colours = before[1:].clone().reshape(1, 3, 1, 1)
    distort(images, [draws], rgb=(1, 2, 3))
    distort(colours, [{"hue": 60.0}], rgb=(0, 1, 2))
    assert images[0, 0] == 101
    expected = colours.flatten() * torch.tensor([1.0, 2.0, 1.0])
    torch.testing.assert_close(images[0, 1:].flatten(), expected.clamp(max=255))


def test_saturation_and_hue_are_drawn_for_8_bit_images_with_red_green_blue_only():
    transform = PhotoMetricDistortion(on_device=True)

    def drawn(bands, dtype):
        np.random.seed(1)
        results = [
            transform({"img": np.zeros((2, 2, len(bands)), dtype), "bands": bands})["distortion"]
            for _ in range(30)
        ]
        assert all(len(draws["brightness"]) == len(bands) for draws in results)
        return any(draws["hue"] for draws in results)

    assert drawn(("nir", "blue", "green", "red"), np.uint8)
    assert not drawn(("nir", "blue", "green"), np.uint8)
    assert not drawn(("nir", "blue", "green", "red"), np.uint16)
    with pytest.raises(UserError, match="images of uint16 need on_device=True"):
        PhotoMetricDistortion()({"img": np.zeros((2, 2, 4), np.uint16), "bands": NAMES[:4]})


def test_colours_of_16_bits_change_in_units_of_the_deviation():
    images = torch.randint(0, 9000, (1, 2, 4, 4)).to(torch.uint16)
    preprocess = SegDataPreProcessor((4000.0, 500.0), (900.0, 100.0), bgr_to_rgb=False)
    sample = build_sample({"brightness": (57.0, 0.0), "contrast": None})
    labels = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    data = {"inputs": images, "labels": labels, "sizes": [(4, 4)], "data_samples": [sample]}
    found = preprocess(data, training=True)["inputs"]
    mean, std = preprocess.mean, preprocess.std
    expected = (images.float() - mean) / std + torch.tensor([1.0, 0.0])[:, None, None]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def build_sample(distortion):
    sample = SegDataSample()
    sample.set_field(distortion, "distortion", field_type="metainfo")
    return sample


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"bands": []}, r"metainfo.bands=\[\]: give a tuple or list"),
        ({"bands": ("nir", "nir")}, "a tuple or list of texts, each once"),
        ({"bits": "int16", "bands": ("nir",)}, "metainfo.bits='int16': give one of uint8,"),
        ({"bits": "uint16"}, "name the bands too"),
        ({"gsd": -1}, "metainfo.gsd=-1: give the metres"),
    ],
)
def test_bands_bits_and_gsd_that_cannot_be_are_refused(tmp_path, info, message):
    known = {"classes": ("a",), "palette": [(0, 0, 0)]}
    config = {
        "type": "BaseSegDataset",
        "data_prefix": {"img_path": str(tmp_path)},
        "lazy_init": True,
    }
    with pytest.raises(UserError, match=message):
        build_dataset({**config, "metainfo": {**known, **info}})


def test_the_wrong_number_of_bands_is_one_line_with_both_numbers():
    with pytest.raises(UserError, match=r"images have 4 bands, .*mean and std have 3"):
        SegDataPreProcessor((1, 2, 3), (1, 1, 1))(
            {"inputs": [torch.zeros(4, 8, 8)], "data_samples": [None]}
        )
