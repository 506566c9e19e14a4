"""Id images, overlays, legends, contact sheets."""

import numpy as np
import pytest
from PIL import Image

from mmseg.errors import UserError
from mmseg.imagery.pictures import (
    colorize,
    contact_sheet,
    legend,
    overlay,
    side_by_side,
    write_id_png,
    write_image,
)

PALETTE = [(255, 0, 0), (0, 200, 0), (10, 20, 30)]


def solid(height, width, value):
    return np.full((height, width, 3), value, np.uint8)


def test_id_png_is_read_back_with_its_ids_and_colours(tmp_path):
    ids = np.array([[0, 1, 2], [2, 255, 0]], np.uint8)
    write_id_png(tmp_path / "new" / "a.png", ids, PALETTE)
    image = Image.open(tmp_path / "new" / "a.png")
    assert image.mode == "P"
    np.testing.assert_array_equal(np.array(image), ids)
    np.testing.assert_array_equal(np.array(image.convert("RGB")), colorize(ids, PALETTE))
    # Bit depth and colour type (3: palette) of the PNG header.
    assert tuple((tmp_path / "new" / "a.png").read_bytes()[24:26]) == (8, 3)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]


def test_image_is_read_back_in_rgb(tmp_path):
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    write_image(tmp_path / "a.png", image)
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "a.png")), image)


def test_palette_of_too_many_classes_is_refused(tmp_path):
    with pytest.raises(UserError, match="257 classes"):
        write_id_png(tmp_path / "a.png", np.zeros((2, 2), np.uint8), [(0, 0, 0)] * 257)


def test_colorize_gives_each_class_its_colour_and_ignored_pixels_black():
    colours = colorize(np.array([[0, 2, 255]], np.uint8), PALETTE)
    assert colours.tolist() == [[[255, 0, 0], [10, 20, 30], [0, 0, 0]]]


def test_overlay_blends_classes_and_leaves_ignored_pixels():
    ids = np.array([[0, 1, 255]], np.uint8)
    blended = overlay(solid(1, 3, 100), ids, PALETTE, opacity=0.25)
    assert blended.dtype == np.uint8
    # 0.75 * 100 + 0.25 * 255 = 138.75; 0.75 * 100 + 0.25 * 200 = 125
    assert blended.tolist() == [[[139, 75, 75], [75, 125, 75], [100, 100, 100]]]


def test_legend_shows_each_colour_and_keeps_to_its_width():
    image = legend(["a", "b", "c"], PALETTE, width=300)
    assert image.shape[1] == 300
    for colour in PALETTE:
        assert (image == colour).all(axis=-1).any()
    assert (image < 100).all(axis=-1).any()  # the letters


def test_legend_has_the_lines_and_the_width_that_its_names_need():
    names = ["building"] * 3
    assert legend(names, PALETTE, width=120).shape[0] > legend(names, PALETTE, width=900).shape[0]
    assert legend(["a very long class name"], PALETTE[:1], width=10).shape[1] > 100
    assert (legend([], [], width=50) == 255).all()


def test_contact_sheet_places_images_row_by_row():
    sheet = contact_sheet([solid(2, 3, 10), solid(4, 5, 20), solid(6, 7, 30)], columns=2, gap=1)
    assert sheet.shape == (4 + 1 + 6, 7 + 1 + 5, 3)
    assert (sheet[:2, :3] == 10).all()
    assert (sheet[:4, 8:13] == 20).all()
    assert (sheet[5:11, :7] == 30).all()
    assert (sheet[4] == 255).all() and (sheet[5:, 7:] == 255).all()


def test_few_images_are_one_row():
    assert contact_sheet([solid(2, 3, 0)], columns=4).shape == (2, 3, 3)
    assert side_by_side([solid(2, 3, 0), solid(5, 4, 0)]).shape == (5, 3 + 4 + 4, 3)


@pytest.mark.parametrize("name", ["Wälder", "Łąka", "森林"])
def test_a_legend_has_letters_of_any_language(name):
    drawn, marks = (legend([text], [(0, 0, 0)], 200) for text in (name, "?" * len(name)))
    assert drawn.shape == marks.shape
    assert (drawn != marks).any()
    assert drawn.min() < 255
