"""Scenes of every kind: bands, bits, nodata, places, areas of interest, damaged files."""

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio import Affine
from rasterio.windows import Window
from scenes import (
    COLOURS,
    DEGREES,
    TRANSFORM,
    ColourModel,
    make_ids,
    map_pixels,
    paint,
    read,
    write_scene,
)

from mmseg.errors import UserError
from mmseg.imagery import read_image
from mmseg.raster import MapOptions, find_scenes, map_scene
from mmseg.raster.scene import Scene


@pytest.fixture
def colour_model() -> ColourModel:
    return ColourModel()


@pytest.mark.parametrize("kind", ["alpha", "nodata", "told", "mask"])
def test_pixels_without_image_come_out_as_nodata_and_empty_windows_are_skipped(
    colour_model, tmp_path, kind
):
    ids = make_ids(150, 140)
    valid = np.ones(ids.shape, bool)
    valid[:70, :80] = False  # more than a window
    valid[100, 100] = False
    pixels = paint(ids) * valid
    options, profile = MapOptions(), {}
    if kind == "alpha":
        pixels = np.concatenate([pixels, valid[None] * np.uint8(255)])
        profile = {"photometric": "RGB", "alpha": "yes"}
    if kind == "nodata":
        profile = {"nodata": 0}
    if kind == "told":
        options = MapOptions(nodata=0)
    scene = write_scene(tmp_path, pixels, **profile)
    if kind == "mask":
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(scene, "r+") as raster:
            raster.write_mask(valid)
    result = map_scene(colour_model, scene, tmp_path / "out", options)
    assert (read(result.path) == np.where(valid, ids, 255)).all()
    assert result.areas.pixels.tolist() == np.bincount(ids[valid], minlength=3).tolist()
    picture = np.asarray(Image.open(tmp_path / "out/scene.preview.png"))
    assert ((picture[24:174, 172:312] == 255).all(axis=2) == ~valid).all()
    # 6 x 6 windows of 32 every 24 pixels; 2 x 3 of them end before row 70 and column 80.
    assert colour_model.windows == 36 - 2 * 3


@pytest.mark.parametrize(("nodata", "profile"), [(0, {}), (None, {"nodata": 0})])
def test_bands_that_are_not_mapped_do_not_say_where_there_is_an_image(
    colour_model, tmp_path, nodata, profile
):
    ids = make_ids(40, 40)
    bands = np.concatenate([paint(ids), np.full((1, 40, 40), 9, np.uint8)])
    bands[:3, :8] = 0
    options = {"bands": (1, 2, 3), "nodata": nodata}
    found = read(map_pixels(colour_model, tmp_path, bands, profile=profile, **options).path)
    assert (found[:8] == 255).all() and (found[8:] == ids[8:]).all()


def test_the_colours_of_a_four_band_scene_are_found_or_told(colour_model, tmp_path):
    ids = make_ids(64, 64)
    red, green, blue = paint(ids)
    infrared = np.full_like(red, 255)
    scene = write_scene(tmp_path, np.stack([infrared, red, green, blue]), alpha="unspecified")
    result = map_scene(colour_model, scene, tmp_path / "told", MapOptions(bands=(2, 3, 4)))
    assert (read(result.path) == ids).all()
    with rasterio.open(scene, "r+") as raster:
        names = ("gray", "red", "green", "blue")
        raster.colorinterp = [rasterio.enums.ColorInterp[name] for name in names]
    result = map_scene(colour_model, scene, tmp_path / "found")
    assert (read(result.path) == ids).all()


def test_bands_that_only_descriptions_name_and_palettes_are_read_in_their_colours(
    colour_model, tmp_path
):
    ids = make_ids(40, 40)
    scene = write_scene(tmp_path, np.concatenate([paint(ids)[::-1], ids[None]]), "bgrn.tif")
    with rasterio.open(scene, "r+") as raster:
        raster.descriptions = ("Blue", "Green", "Red", "NIR")
    assert (read(map_scene(colour_model, scene, tmp_path / "out").path) == ids).all()
    scene = write_scene(tmp_path, ids[None], "palette.tif", photometric="palette")
    with rasterio.open(scene, "r+") as raster:
        raster.write_colormap(1, {i: tuple(map(int, c)) for i, c in enumerate(COLOURS)})
    assert (read(map_scene(colour_model, scene, tmp_path / "out").path) == ids).all()
    picture = np.asarray(Image.open(tmp_path / "out/palette.preview.png"))[24:64, 6:46]
    assert (picture == COLOURS[ids]).all()
    smaller = Scene(scene, MapOptions(), {}).overview(7).reshape(-1, 3)
    assert {tuple(colour) for colour in smaller} <= {tuple(colour) for colour in COLOURS}


def test_a_palette_of_16_bits_gives_its_colours(tmp_path):
    ids = make_ids(20, 30)
    path = write_scene(tmp_path, ids[None].astype(np.uint16) * 300, photometric="palette")
    with rasterio.open(path, "r+") as raster:
        raster.write_colormap(1, {300 * i: tuple(map(int, c)) for i, c in enumerate(COLOURS)})
    image, _ = Scene(path, MapOptions(), {}).read(Window(0, 0, 30, 20))
    assert (image.transpose(1, 2, 0) == COLOURS[ids]).all()


def test_names_of_bands_that_are_no_colours_are_told(colour_model, tmp_path, log):
    path = write_scene(tmp_path, paint(make_ids(20, 30)))
    with rasterio.open(path, "r+") as raster:
        raster.descriptions = ("B02", "B03", "B04")
    map_scene(colour_model, path, tmp_path / "out")
    assert "taken as red, green and blue: ['B02', 'B03', 'B04'] (--bands" in log.read()


@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("photometric", ["MINISBLACK", "MINISWHITE"])
def test_a_grey_scene_has_the_grey_of_the_same_training_image(tmp_path, bits, photometric):
    values = np.minimum(make_ids(20, 30), 2**bits - 1)[None]
    path = write_scene(tmp_path, values, nbits=bits, photometric=photometric)
    image, _ = Scene(path, MapOptions(), {}).read(Window(0, 0, 30, 20))
    assert (image == read_image(path)[..., ::-1].transpose(2, 0, 1)).all()


def test_of_a_container_of_several_rasters_the_names_are_told(tmp_path):
    for name in ("one", "two"):
        options = {"RASTER_TABLE": name, "APPEND_SUBDATASET": "YES" if name == "two" else "NO"}
        size = {"count": 3, "height": 9, "width": 9, "dtype": "uint8"}
        place = {"crs": "EPSG:2180", "transform": TRANSFORM}
        path = tmp_path / "both.gpkg"
        with rasterio.open(path, "w", driver="GPKG", **size, **place, **options) as raster:
            raster.write(np.zeros((3, 9, 9), np.uint8))
    with pytest.raises(UserError, match=r"both\.gpkg: it holds 2 rasters; map one: GPKG:.*:one, "):
        Scene(path, MapOptions(), {})


@pytest.mark.parametrize("scale", [None, (1000, 5000)])
def test_sixteen_bits_are_scaled_and_the_log_says_how(colour_model, tmp_path, log, scale):
    ids = make_ids(64, 64)
    pixels = (1000 + paint(ids).astype(np.uint16) * 15).astype(np.uint16)
    pixels[:, 0, :9] = [[0], [65535], [0]]  # outliers, which do not count
    ids[0, :9] = 1
    assert (read(map_pixels(colour_model, tmp_path, pixels, scale=scale).path) == ids).all()
    low, high = scale or (1600, 4000)
    said = f"{low} to {high}"
    assert f"16-bit samples scaled to 0 to 255, by band: {said}, {said}, {said}" in log.read()


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        (None, Affine.identity()),
        ('LOCAL_CS["site",UNIT["metre",1]]', TRANSFORM),
        ("ESRI:104905", DEGREES),  # Mars
        ("EPSG:2180", Affine.identity()),  # rasterio and GDAL write it where there is none
    ],
)
def test_a_scene_whose_place_is_unknown_is_mapped_without_areas_and_polygons(
    colour_model, tmp_path, log, crs, transform
):
    ids = make_ids(64, 64)
    place = {"crs": crs, "transform": transform}
    result = map_pixels(colour_model, tmp_path, paint(ids), profile=place, vectors="gpkg")
    assert "its place is unknown (no CRS, a local one, or no transform)" in log.read()
    assert (read(result.path) == ids).all()
    assert result.areas.hectares is None
    assert not (tmp_path / "scene.landcover.gpkg").exists()
    with rasterio.open(tmp_path / "scene.tif") as source, rasterio.open(result.path) as raster:
        assert (raster.crs, raster.transform) == (source.crs, source.transform)
    with pytest.raises(UserError, match="place is unknown, so its resolution"):
        map_scene(colour_model, tmp_path / "scene.tif", tmp_path, MapOptions(gsd=1.0))


def test_a_virtual_raster_is_a_scene_like_any_other(colour_model, tmp_path):
    ids = make_ids(64, 80)
    scene = write_scene(tmp_path, paint(ids))
    rasterio.shutil.copy(scene, tmp_path / "virtual.vrt", driver="VRT")
    for name in (tmp_path / "virtual.vrt", f"/vsisubfile/0_{scene.stat().st_size},{scene}"):
        assert find_scenes([str(name)]) == [str(name)]
        assert (read(map_scene(colour_model, name, tmp_path / "out").path) == ids).all()


def test_the_scenes_of_a_folder_are_its_rasters_but_hidden_ones_and_maps(tmp_path):
    for name in ("b.TIF", "a.vrt", ".c.tif", "a.landcover.tif", "a.probabilities.tif", "a.png"):
        (tmp_path / name).touch()
    assert find_scenes([str(tmp_path)]) == [str(tmp_path / "a.vrt"), str(tmp_path / "b.TIF")]


def test_real_scenes_are_mapped_with_their_gaps(colour_model, real_data, tmp_path):
    scene = real_data / "rasters/qgis_3320D_2010_315_RGB_LATLNG.tif"
    colour_model.data_preprocessor.size = (512, 512)
    result = map_scene(colour_model, scene, tmp_path)
    with rasterio.open(scene) as source, rasterio.open(result.path) as raster:
        assert raster.crs == source.crs and raster.transform == source.transform
        assert ((raster.read(1) == 255) == (source.read(4) == 0)).all()


def test_a_truncated_scene_is_one_line_for_the_user_and_leaves_no_map(colour_model, tmp_path):
    blocks = {"tiled": True, "blockxsize": 16, "blockysize": 16}
    scene = write_scene(tmp_path, paint(make_ids(200, 200, block=1)), **blocks)
    content = scene.read_bytes()
    scene.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(UserError, match=r"scene\.tif: .*cut short") as caught:
        map_scene(colour_model, scene, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "out").glob("scene*"))


@pytest.mark.parametrize(
    ("count", "dtype", "options", "message"),
    [
        (1, np.uint8, {"bands": (1, 2, 3)}, r"it has 1 bands, bands \[1, 2, 3\] were asked for"),
        (3, np.uint8, {"alpha": 4}, "it has no band 4 to be the alpha band"),
        (3, np.uint8, {"bands": (1, 2, 4)}, "give the numbers of the bands red, green, blue"),
        (3, np.float32, {}, "samples are float32; this model maps uint16 and uint8"),
        (3, np.uint8, {"aoi": "no.gpkg"}, r"no\.gpkg: not a readable layer"),
        (3, np.uint8, {"overlap": 0.7}, "choose a fraction"),
        (3, np.uint8, {"batch_size": 0}, "batch_size is 0"),
        (3, np.uint8, {"gsd": 1000}, r"pixels are 0\.5 m wide, the gsd is 1000 m"),
        (3, np.uint8, {"gsd": 0.0}, r"gsd is 0\.0"),
        (3, np.uint8, {"gsd": np.nan}, "gsd is nan"),
        (3, np.uint8, {"scale": (5, 5)}, r"scale is \(5, 5\)"),
        (3, np.uint8, {"scale": (0, np.nan)}, r"scale is \(0, nan\)"),
        (3, np.uint8, {"nodata": 300}, "no sample of uint8 is 300, the nodata value"),
        (3, np.uint8, {"nodata": np.nan}, "no sample of uint8 is nan"),
        (3, np.uint8, {"nodata": 0.5}, r"no sample of uint8 is 0\.5"),
        (3, np.uint8, {"min_area": np.nan}, "min_area is nan"),
        (3, np.uint8, {"min_area": -1.0}, r"min_area is -1\.0"),
        (3, np.uint8, {"min_area": 5.0}, "min_area are of polygons"),
    ],
)
def test_a_mistake_is_one_line_for_the_user(colour_model, tmp_path, count, dtype, options, message):
    with pytest.raises(UserError, match=message) as caught:
        map_pixels(colour_model, tmp_path, np.zeros((count, 9, 9), dtype), **options)
    assert "\n" not in str(caught.value)
