"""From scenes and polygons to a map and its polygons, with four bands of 16 bits."""

import runpy
import sys

import numpy as np
import pyogrio
import rasterio
import shapely
from drawn import BANDS, base_config, draw, make, polygons_of, write_labels, write_scene
from rasterio.features import rasterize
from run_tool import TOOLS

from mmseg.apis import init_model
from mmseg.checkpoints.files import read_checkpoint
from mmseg.config import load_config
from mmseg.engine.runner import SegRunner
from mmseg.raster import MapOptions, map_scene


def test_the_polygons_of_a_map_that_was_learnt_from_polygons_are_the_map(tmp_path):
    ids = draw(128, 192, block=32)
    scene = write_scene(tmp_path / "scene.tif", ids, nodata=0)
    shapes, names = polygons_of(ids)
    labels = write_labels(tmp_path / "labels.gpkg", shapes, **{"class": names})
    make(tmp_path / "mine", [scene], labels=labels)

    config = load_config(tmp_path / "mine/config.py", {"work_dir": str(tmp_path / "work")})
    runner = SegRunner.from_cfg(config)
    runner.train()
    assert runner.test()["mIoU"] > 0
    checkpoint = tmp_path / "work/iter_2.pth"
    stored = read_checkpoint(checkpoint)["meta"]
    assert stored["dataset_meta"]["bands"] == list(BANDS)
    assert stored["dataset_meta"]["bits"] == "uint16" and stored["dataset_meta"]["gsd"] == 2.0
    np.testing.assert_allclose(stored["mean"], config.model.data_preprocessor.mean, rtol=1e-5)

    # Another sheet, whose bands lie in another order.
    other = write_scene(tmp_path / "other.tif", draw(70, 90, seed=3), left=300)
    with rasterio.open(other, "r+") as raster:
        raster.write(raster.read()[::-1])
        raster.descriptions = BANDS[::-1]
    model = init_model(tmp_path / "mine/config.py", checkpoint, "cpu")
    result = map_scene(model, other, tmp_path / "maps", MapOptions(vectors="gpkg"))
    _, _, wkb, (class_ids, *_) = pyogrio.raw.read(tmp_path / "maps/other.landcover.gpkg")
    with rasterio.open(result.path) as raster:
        found = raster.read(1)
        pairs = zip(shapely.from_wkb(wkb), class_ids.tolist(), strict=True)
        drawn = rasterize(pairs, found.shape, fill=255, transform=raster.transform, dtype=np.uint8)
    np.testing.assert_array_equal(drawn, found)
    assert set(np.unique(found)) <= {0, 1, 2}


def test_the_tool_prints_the_table_and_says_where_the_config_is(tmp_path, monkeypatch, capsys):
    ids = draw(64, 96)
    write_scene(tmp_path / "scenes/a.tif", ids)
    shapes, names = polygons_of(ids)
    labels = write_labels(tmp_path / "labels.gpkg", shapes, **{"class": names})
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(TOOLS))
    command = f"make_dataset.py scenes --labels {labels} --class-field class --size 32 --block 32"
    base = base_config(tmp_path)
    monkeypatch.setattr(sys, "argv", [*command.split(), "--out", "mine", "--base", base])
    runpy.run_path(str(TOOLS / "make_dataset.py"), run_name="__main__")
    printed = capsys.readouterr()
    rows = [line for line in printed.out.splitlines() if line.startswith("│")]
    hectares = [float(row.split("│")[3]) for row in rows]
    np.testing.assert_allclose(hectares, np.bincount(ids.ravel()) * 4 / 10_000, atol=0.01)
    counts = [int(row.split("│")[2]) for row in rows]
    assert counts == [names.count(name) for name in ("field", "pond", "wood")]
    assert "train with mine/config.py" in printed.err
