"""Data sets whose masks have palettes: indices are ids only if they mean the same in all files."""

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio import Affine

from mmseg.datasets import build_dataset
from mmseg.datasets.check import build_parts, check_sample
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.errors import UserError
from mmseg.imagery.geotiff import write_geotiff

PALETTE = [(250, 180, 60), (0, 100, 0), (0, 0, 255)]  # of `folder_config`: field, wood, water
IDS = np.repeat(np.arange(64) * 3 // 64, 48).reshape(64, 48).T.astype(np.uint8)


def write_masks(folder, palettes):
    """Write the masks a, b, ... of `image_folder`, which all show `IDS` in the colours of PALETTE.

    `palettes` gives the colours of a file's indices. None is a mask without one.
    """
    for name, palette in zip("abcd", palettes, strict=True):
        order = [palette.index(colour) for colour in PALETTE] if palette else [0, 1, 2]
        mask = Image.fromarray(np.array(order, np.uint8)[IDS])
        if palette:
            mask.putpalette(np.array(palette, np.uint8).tobytes())
        mask.save(folder / f"ann_dir/{name}.png")


def test_palettes_that_differ_are_read_by_the_colours_of_the_classes(
    image_folder, folder_config, warnings
):
    write_masks(image_folder, [PALETTE, None, PALETTE[::-1], [(1, 2, 3), *PALETTE]])
    dataset = build_dataset(folder_config)
    for index in range(4):
        np.testing.assert_array_equal(dataset.get_seg_map(index), IDS)
        info = {**dataset.get_data_info(index), "ori_shape": IDS.shape}
        np.testing.assert_array_equal(LoadAnnotations()(info)["gt_seg_map"], IDS)
    assert len(warnings) == 1 and "palettes of masks differ: 0 is (" in warnings[0]
    assert "a.png" in warnings[0] or "c.png" in warnings[0]
    zero = build_dataset({**folder_config, "reduce_zero_label": True})
    np.testing.assert_array_equal(zero.get_seg_map(2), IDS)
    subset = build_dataset({**folder_config, "subset": {"fraction": 1.0, "seed": 0}})
    np.testing.assert_array_equal(subset.get_seg_map(2), IDS)


@pytest.mark.parametrize(
    "palette", [[(9, 9, 9), (0, 100, 0), (0, 0, 255)], [*PALETTE[:2], (0, 100, 0)]]
)
def test_a_colour_of_no_class_or_of_two_ends_the_run_at_its_start(
    image_folder, folder_config, palette
):
    write_masks(image_folder, [PALETTE, PALETTE, PALETTE[::-1], PALETTE])
    folder_config["metainfo"]["palette"] = palette
    with pytest.raises(UserError, match=r"a\.png: the palettes of masks differ, and the colour of"):
        build_dataset(folder_config)


def test_the_check_of_the_files_reads_by_colours_and_names_each_strange_one(
    image_folder, folder_config
):
    write_masks(image_folder, [PALETTE, PALETTE[::-1], PALETTE, PALETTE])
    (dataset,) = build_parts(folder_config)
    dataset.compare_palettes("abcd")
    samples = [check_sample(dataset, name) for name in "ab"]
    assert not any(sample.problems for sample in samples)
    assert all((s.class_pixels == np.bincount(IDS.ravel())).all() for s in samples)
    folder_config["metainfo"]["palette"] = [(9, 9, 9), *PALETTE[1:]]
    (dataset,) = build_parts(folder_config)
    with pytest.raises(UserError):
        dataset.compare_palettes("abcd")
    for name in "abcd":
        (line,) = check_sample(dataset, name).problems
        assert f"{name}.png: the palettes of masks differ" in line


@pytest.mark.parametrize("is_own", [True, False])
def test_equal_palettes_leave_ids_as_they_are_and_one_line_says_if_they_are_not_the_data_sets(
    image_folder, folder_config, warnings, is_own
):
    write_masks(image_folder, [PALETTE, PALETTE, [*PALETTE, (7, 7, 7)], None])
    if not is_own:
        folder_config["metainfo"]["palette"] = PALETTE[::-1]
    np.testing.assert_array_equal(build_dataset(folder_config).get_seg_map(2), IDS)
    told = "0 is (250, 180, 60) there and (0, 0, 255) here; masks are read by their values"
    assert [told in line for line in warnings] == ([] if is_own else [True])


@pytest.mark.parametrize("colour", [(0.1, 0.2, 0.3), "#000000", (256, 0, 0), (0, 0, 0, 255), 7])
def test_a_palette_that_is_none_is_refused_at_once(folder_config, colour):
    folder_config["metainfo"]["palette"][1] = colour
    with pytest.raises(UserError, match=r"metainfo.palette\[1\]=.*: give \(R, G, B\)"):
        build_dataset({**folder_config, "lazy_init": True})


@pytest.mark.parametrize("nodata", [0, 200])
def test_a_nodata_value_that_is_the_id_of_a_class_is_told(
    image_folder, folder_config, warnings, nodata
):
    for name in "abcd":
        mask = image_folder / f"ann_dir/{name}.tif"
        write_geotiff(mask, IDS, Affine.scale(2), "EPSG:2180")
        with rasterio.open(mask, "r+") as raster:
            raster.nodata = nodata
    build_dataset({**folder_config, "seg_map_suffix": ".tif"})
    told = f"a.tif: its nodata value is 0, the id of {folder_config['metainfo']['classes'][0]!r}"
    assert any(told in line for line in warnings) == (nodata == 0)
