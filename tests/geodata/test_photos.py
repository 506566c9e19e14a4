"""Photos without a place on the Earth, and masks of colours."""

import json

import numpy as np
import pytest
from drawn import make
from PIL import Image

from mmseg.config import load_config
from mmseg.errors import UserError


@pytest.fixture
def photos(tmp_path):
    """Photos without a place, and masks of colours."""
    table = {"roof": [200, 0, 0], "lawn": [0, 200, 0], "ignored": [0, 0, 0]}
    rng = np.random.default_rng(0)
    for folder in ("img", "ann"):
        (tmp_path / folder).mkdir()
    for n in range(6):
        ids = np.kron(rng.integers(0, 3, (4, 6)), np.ones((16, 16), int))
        colours = np.array(list(table.values()), np.uint8)[ids]
        Image.fromarray(255 - colours).save(tmp_path / f"img/p{n}.jpg")
        Image.fromarray(colours).save(tmp_path / f"ann/p{n}.png")
    (tmp_path / "colours.json").write_text(json.dumps(table))
    rows = "".join(f"{name};{r};{g};{b}\n" for name, (r, g, b) in table.items())
    (tmp_path / "colours.csv").write_text("Name;R;G;B\n" + rows)
    return tmp_path


@pytest.mark.parametrize("table", ["colours.json", "colours.csv"])
def test_masks_of_colours_without_a_place_give_the_same(photos, table):
    scenes = sorted((photos / "img").iterdir())
    options = {"masks": str(photos / "ann"), "colours": str(photos / table), "split": "sheets"}
    make(photos / "out", scenes, size=64, **options)
    config = load_config(photos / "out/config.py")
    assert config.train_dataloader.dataset.metainfo.classes == ["roof", "lawn"]
    assert config.model.data_preprocessor.bgr_to_rgb and config.model.backbone.in_channels == 3
    for split in ("train", "val", "test"):
        for name in (photos / f"out/splits/{split}.txt").read_text().split():
            photo, top, left = name.rsplit("_", 2)
            mask = np.asarray(Image.open(photos / f"out/masks/{name}.png"))
            colours = np.asarray(Image.open(photos / f"ann/{photo}.png"))
            place = np.s_[
                int(top) : int(top) + mask.shape[0], int(left) : int(left) + mask.shape[1]
            ]
            is_of = [
                (colours[place] == rgb).all(-1) for rgb in ((200, 0, 0), (0, 200, 0), (0, 0, 0))
            ]
            np.testing.assert_array_equal(mask, np.select(is_of, [0, 1, 255]))
    ground = [
        {name.rsplit("_", 2)[0] for name in (photos / f"out/splits/{s}.txt").read_text().split()}
        for s in ("train", "val", "test")
    ]
    assert len(set.union(*ground)) == sum(map(len, ground)) == 6


def test_a_colour_that_is_not_in_the_table_is_named_and_nearest_takes_it(photos):
    with Image.open(photos / "ann/p3.png") as image:
        colours = np.array(image)
    colours[:2, :5] = np.maximum(colours[:2, :5], 7)
    Image.fromarray(colours).save(photos / "ann/p3.png")
    scenes = sorted((photos / "img").iterdir())
    options = {"masks": str(photos / "ann"), "colours": str(photos / "colours.csv")}
    with pytest.raises(UserError, match=r"ann/p3\.png: 10 pixels have colours that are not in the"):
        make(photos / "out", scenes, size=64, **options)
    make(photos / "near", scenes, size=64, **options, nearest=True)
    assert (photos / "near/config.py").is_file()
