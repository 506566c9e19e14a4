"""Scenes with the bands, bits and resolution that a model stores."""

import numpy as np
import pytest
import rasterio
import torch
from mmengine.config import Config
from scenes import CLASSES, PALETTE, WINDOW, ColourModel, make_ids, read, write_scene

from mmseg.errors import UserError
from mmseg.raster import MapOptions, map_scene
from mmseg.registry import MODELS

BANDS = ("swir", "red", "nir", "blue")
VALUES = np.array([(900, 100, 400, 40), (300, 8000, 4000, 50), (100, 200, 30_000, 70)], np.uint16)


class BandModel(ColourModel):
    """Calls a pixel by its highest normalised band but the last."""

    def __init__(self, bits: str = "uint16", **meta: object) -> None:
        super().__init__()
        self.data_preprocessor = MODELS.build(
            {
                "type": "SegDataPreProcessor",
                "mean": VALUES.mean(0).tolist(),
                "std": VALUES.std(0).tolist(),
                "size": (WINDOW, WINDOW),
                "bgr_to_rgb": False,
            }
        )
        self.cfg = Config({"model": {"type": "BandModel"}})
        self.dataset_meta = {"classes": CLASSES, "palette": PALETTE, "bands": BANDS, "bits": bits}
        self.dataset_meta |= meta
        self.seen = torch.zeros(0, 4)

    def full_logits(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = torch.cat([self.seen, x.permute(0, 2, 3, 1).reshape(-1, 4)])
        return super().full_logits(x[:, :3])


def paint(ids: np.ndarray) -> np.ndarray:
    return VALUES[ids].transpose(2, 0, 1)


def name_bands(path, names):
    with rasterio.open(path, "r+") as raster:
        raster.descriptions = names


@pytest.mark.parametrize("bits", ["uint16", "float32"])
def test_the_stored_bands_and_bits_are_read_whatever_their_order_in_the_scene(tmp_path, bits):
    ids = make_ids(70, 90)
    planes = paint(ids)[[3, 2, 1, 0]].astype(bits)
    scene = write_scene(tmp_path, np.concatenate([planes, planes[:1] * 0]))
    name_bands(scene, (*BANDS[::-1], "quality"))
    model = BandModel(bits)
    result = map_scene(model, scene, tmp_path / "out")
    assert (read(result.path) == ids).all()
    expected = (VALUES - VALUES.mean(0)) / VALUES.std(0)
    found = np.unique(model.seen.numpy().round(3), axis=0)
    np.testing.assert_allclose(found, np.unique(expected.round(3), axis=0), atol=2e-3)
    assert (tmp_path / "out/scene.preview.png").is_file()


def test_pixels_without_image_are_the_mean_for_the_model(tmp_path):
    planes = paint(make_ids(WINDOW, WINDOW))
    planes[:, :5] = 0
    scene = write_scene(tmp_path, planes, nodata=0)
    model = BandModel()
    result = map_scene(model, scene, tmp_path / "out")
    assert (read(result.path)[:5] == 255).all()
    assert model.seen[: 5 * WINDOW].abs().max() < 0.05  # half a unit of a band, in deviations


def test_bands_are_chosen_by_number_where_the_scene_has_no_names(tmp_path):
    ids = make_ids(40, 40)
    planes = paint(ids)
    scene = write_scene(tmp_path, np.concatenate([planes[:1] * 0, planes]))
    options = MapOptions(bands=(2, 3, 4, 5))
    assert (read(map_scene(BandModel(), scene, tmp_path, options).path) == ids).all()


@pytest.mark.parametrize(
    ("planes", "options", "message"),
    [
        (paint(make_ids(40, 40))[:3], {}, r"it has 3 bands \(.*\), 4 are needed \(swir, red,"),
        (paint(make_ids(40, 40)), {"bands": (1, 2, 3)}, r"has 4 bands, bands \[1, 2, 3\] were"),
        (np.ones((4, 40, 40), np.uint8), {}, "samples are uint8; this model maps uint16"),
    ],
)
def test_other_bands_or_bits_are_one_line(tmp_path, planes, options, message):
    scene = write_scene(tmp_path, planes, photometric="MINISBLACK")
    with pytest.raises(UserError, match=message) as caught:
        map_scene(BandModel(), scene, tmp_path / "out", MapOptions(**options))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("gsd", "size"), [(1.0, 64), (0.52, 32), (0.46, 32), (0.25, 16)])
def test_a_scene_is_resampled_to_the_stored_gsd_if_it_differs_by_a_tenth(tmp_path, gsd, size, log):
    scene = write_scene(tmp_path, paint(make_ids(70, 90)))  # pixels of 0.5 m
    map_scene(BandModel(gsd=gsd), scene, tmp_path / "out")
    assert f"windows of {size} x {size} pixels" in log.read()
    told = f"its pixels are 0.5 x 0.5 m, those of the training {gsd:g} m"
    assert (told in log.read()) == (size != 32)
    map_scene(BandModel(gsd=gsd), scene, tmp_path / "told", MapOptions(gsd=0.5))
    assert log.read().count("windows of 32 x 32") == (2 if size == 32 else 1)
