"""Id images, overlays, legends, sheets."""

import numpy as np
import pytest
from PIL import Image

from mmseg.errors import UserError
from mmseg.imagery.pictures import (
    LIMIT,
    VERMILION,
    error_map,
    overlay,
    panels,
    sheet,
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
    colours = np.array([*PALETTE, (0, 0, 0)])[np.minimum(ids, 3)]
    np.testing.assert_array_equal(np.array(image.convert("RGB")), colours)
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


def test_overlay_blends_classes_and_leaves_ignored_pixels():
    ids = np.array([[0, 1, 255]], np.uint8)
    blended = overlay(solid(1, 3, 100), ids, PALETTE, opacity=0.25)
    assert blended.dtype == np.uint8
    # 0.75 * 100 + 0.25 * 255 = 138.75; 0.75 * 100 + 0.25 * 200 = 125
    assert blended.tolist() == [[[139, 75, 75], [75, 125, 75], [100, 100, 100]]]


def with_legend(names, colours, width=300):
    return sheet([solid(20, width, 255)], [""], 1, names, colours)


def test_a_legend_shows_each_colour_and_has_the_lines_that_its_names_need():
    image = with_legend(["a", "b", "c"], PALETTE)
    for colour in PALETTE:
        assert (image == colour).all(axis=-1).any()
    assert (image < 100).all(axis=-1).any()  # the letters
    few, many = (with_legend(["building"] * 3, PALETTE, width) for width in (900, 170))
    assert many.shape[0] > few.shape[0]
    assert with_legend(["a very long class name"] * 3, PALETTE, 170).shape == many.shape


def places(picture, colour):
    rows, columns = np.nonzero((picture == colour).all(axis=2))
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


@pytest.mark.parametrize("name", ["Wälder", "Łąka", "森林"])
def test_a_legend_has_letters_of_any_language(name):
    drawn, marks = (with_legend([text], [(0, 0, 0)]) for text in (name, "?" * len(name)))
    assert drawn.shape == marks.shape
    assert (drawn != marks).any()
    assert drawn.min() < 255


def test_a_sheet_shows_every_picture_whole_below_its_caption():
    values = [(10, 0, 0), (20, 0, 0), (30, 0, 0)]
    images = [solid(20, 200, values[0]), solid(40, 180, values[1]), solid(60, 170, values[2])]
    picture = sheet(images, ["a.png", "b.png", ""], columns=2)
    found = [places(picture, value) for value in values]
    assert [(y1 - y0, x1 - x0) for y0, y1, x0, x1 in found] == [(20, 200), (40, 180), (60, 170)]
    assert found[0][0] == found[1][0] < found[2][0] and found[0][2] == found[2][2] < found[1][2]
    above = [picture[y0 - 18 : y0, x0:x1] for y0, _, x0, x1 in found]
    assert [bool((each < 100).any()) for each in above] == [True, True, False]


def test_sheets_are_at_most_4000_pixels_and_their_text_grows_with_them():
    small = sheet([solid(200, 300, 200)] * 3, ["name"] * 3, 3)
    large = sheet([solid(2000, 3000, 200)] * 3, ["name"] * 3, 3)
    assert max(small.shape) < 1000 and max(large.shape) == LIMIT
    heights = [np.ptp(np.nonzero((each < 100).any(axis=(1, 2)))[0]) for each in (small, large)]
    assert heights[1] / heights[0] == pytest.approx(LIMIT / small.shape[1], rel=0.2)
    assert max(sheet([solid(9000, 40, 200)], ["a"], 1).shape) == LIMIT


def test_panels_show_image_truth_prediction_and_errors_as_far_as_they_are_given():
    truth = np.zeros((100, 200), np.uint8)
    prediction, truth[:20] = truth.copy(), 255
    prediction[60:] = 1
    arguments = "a.png", solid(100, 200, 90), ["x", "y", "z"], PALETTE, 1
    picture = panels(*arguments, prediction, truth)
    assert places(picture, VERMILION)[1] - places(picture, VERMILION)[0] == 40
    assert not (picture == PALETTE[2]).all(axis=2).any()  # a class that does not occur
    widths = [panels(*arguments, *ids).shape[1] for ids in ((), (prediction,))]
    assert widths[0] < widths[1] < picture.shape[1]
    assert picture.shape[1] == pytest.approx(2 * widths[1], rel=0.02)


def test_errors_differ_from_the_grey_image_for_colour_blind_readers():
    image = solid(1, 256, 0) + np.arange(256, dtype=np.uint8)[None, :, None]
    ids = np.zeros((1, 256), np.uint8)
    grey = error_map(image, ids, ids).reshape(-1, 3)
    assert (error_map(image, ids, ids + 1) == VERMILION).all()
    # What protanopes and deuteranopes see (Machado et al. 2009), in linear RGB.
    seen = np.array(
        [
            [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
            [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
        ]
    )
    for matrix in seen:
        colours = [(np.asarray(c) / 255) ** 2.2 @ matrix.T for c in (VERMILION, grey)]
        distance = np.linalg.norm(np.diff(np.clip(colours[0], 0, 1)) - np.diff(colours[1]), axis=1)
        assert distance.min() > 0.1  # grey has no hue, and the errors keep theirs
