"""The notebook of the documentation, cell by cell."""

import json
from pathlib import Path

import numpy as np
import rasterio
from rasterio import Affine
from tiny_project import ROOT, write_project


def test_the_cells_of_the_notebook_go_from_images_to_a_map(tmp_path, monkeypatch):
    write_project(tmp_path, "train_cfg.update(max_iters=2)\n")
    (tmp_path / "tiny.py").rename(tmp_path / "my_config.py")
    image = tmp_path / "data/val/images/0.png"
    (tmp_path / "photo.png").write_bytes(image.read_bytes())
    bands = np.random.default_rng(0).integers(0, 256, (3, 70, 90), dtype=np.uint8)
    size = {"width": 90, "height": 70, "count": 3, "dtype": "uint8", "driver": "GTiff"}
    place = {"crs": "EPSG:2180", "transform": Affine(1, 0, 500_000, 0, -1, 300_000)}
    with rasterio.open(tmp_path / "scene.tif", "w", **size, **place) as scene:
        scene.write(bands)
    monkeypatch.chdir(tmp_path)
    cells = json.loads((ROOT / "docs/quickstart.ipynb").read_text(encoding="utf-8"))["cells"]
    names: dict = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert 0 <= names["result"]["best"]["mIoU"] <= 100
    assert Path(names["result"]["checkpoint"]).is_file()
    assert Path("curves.svg").is_file() and Path("report/index.html").is_file()
    assert "ground" in Path("report/classes.csv").read_text()
    with rasterio.open("map/scene.landcover.tif") as raster:
        assert raster.shape == (70, 90) and set(np.unique(raster.read(1))) <= {0, 1, 2}
