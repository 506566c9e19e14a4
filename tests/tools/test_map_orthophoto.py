"""Mapping from the command line: folders, the truth, two processes, interruptions, mistakes."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from rasterio import Affine
from run_tool import call_tool, run_tool
from tiny_project import MODEL

from mmseg.apis import init_model

ROOT = Path(__file__).parents[2]


def write(path: Path, array: np.ndarray) -> None:
    bands, height, width = array.shape
    size = {"count": bands, "height": height, "width": width, "dtype": "uint8"}
    place = {"crs": "EPSG:2180", "transform": Affine(0.5, 0, 500_000, 0, -0.5, 600_000)}
    with rasterio.open(path, "w", driver="GTiff", **size, **place) as raster:
        raster.write(array)


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """A folder with a config, a checkpoint of random weights, two scenes and their truth."""
    tmp_path = tmp_path_factory.mktemp("template")
    torch.manual_seed(0)
    config = MODEL.format(root=ROOT, size=64, num_classes=5)
    (tmp_path / "config.py").write_text(config + "train_dataloader = dict(batch_size=1)\n")
    model = init_model(tmp_path / "config.py", device="cpu", fused=False)
    torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=3.0)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "random.pth")
    rng = np.random.default_rng(0)
    for folder in ("scenes", "truth"):
        (tmp_path / folder).mkdir()
    for name, shape in (("a", (150, 90)), ("b", (40, 200))):
        write(tmp_path / f"scenes/{name}.tif", rng.integers(0, 256, (3, *shape), dtype=np.uint8))
        write(tmp_path / f"truth/{name}.tif", rng.integers(0, 5, (1, *shape), dtype=np.uint8))
    (tmp_path / "scenes/notes.txt").write_text("not a raster")
    return tmp_path


@pytest.fixture
def project(template, tmp_path, monkeypatch) -> Path:
    """A copy of `template`, in which the test runs."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(project):
    """Run the tool in this process; return what it exits with."""
    command = ("map_orthophoto.py", "config.py", "random.pth", "--engine", "torch")
    return partial(call_tool, *command)


def test_a_folder_of_scenes_is_mapped_and_compared_with_a_folder_of_masks(project, call, log):
    arguments = ("scenes", "--out", "maps", "--truth", "truth", "--polygons", "--probabilities")
    assert call(*arguments) is None
    output = log.read()
    for name in ("a", "b"):
        kinds = ("landcover.tif", "landcover.gpkg", "landcover.qml", "areas.csv", "preview.png")
        assert all((project / f"maps/{name}.{kind}").is_file() for kind in kinds)
        with rasterio.open(project / f"maps/{name}.landcover.tif") as raster:
            ids = raster.read(1)
        with rasterio.open(project / f"truth/{name}.tif") as raster:
            labels = raster.read(1)
        # Random pixels are rather even: the share that happens to agree is that of the table.
        assert f"{100 * (ids == labels).mean():.2f}" in output
    assert output.count("truth \\ map") == 2
    assert output.count("the model took") == 2
    assert call("scenes", "--out", "maps") is None


def test_two_processes_write_the_files_of_one_also_after_a_scene_that_one_cannot_read(
    project, call
):
    torch.set_num_threads(1)
    options = ("--probabilities", "--polygons", "--min-area", "2")
    assert call("scenes/a.tif", "--out", "one", *options) is None
    torch.set_num_threads(2)
    whole = (project / "scenes/a.tif").read_bytes()
    (project / "scenes/0.tif").write_bytes(whole[: int(0.8 * len(whole))])
    command = ("map_orthophoto.py", "config.py", "random.pth", "scenes/0.tif", "scenes/a.tif")
    result = run_tool(
        *command, "--out", "two", "--engine", "torch", *options, cwd=project, processes=2
    )
    output = result.stdout + result.stderr
    assert result.returncode == 1, output[-3000:]
    assert output.count("scenes/0.tif: cannot be read at rows") == 1
    assert "error: 1 of 2 scenes not mapped: scenes/0.tif" in output
    shutil.rmtree(project / "two/.0.unfinished")
    names = sorted(path.name for path in (project / "one").iterdir())
    assert len(names) == 7
    assert sorted(path.name for path in (project / "two").iterdir()) == names
    for name in names:
        assert (project / "one" / name).read_bytes() == (project / "two" / name).read_bytes(), name


def test_an_interruption_is_one_line(call, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mmseg.raster.strip_mapper.StripMapper.map", interrupt)
    code = call("scenes/a.tif", "--out", "maps")
    assert code == "interrupted; the same command goes on from here"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.tif",), "error: missing.tif: not a readable raster"),
        (("truth/../scenes/a.tif", "scenes"), "have the same name: map them into two folders"),
        (("scenes/a.tif", "--bands", "1", "2", "9"), "it has 3 bands, bands [1, 2, 9]"),
        (("scenes/a.tif", "--truth", "scenes/b.tif"), "the mask is 200x40 pixels, its image"),
        (("scenes/a.tif", "--device", "cuda:99"), "device cuda:99: torch sees"),
        (("scenes/a.tif", "--device", "gpu"), "device 'gpu': give cpu, cuda or cuda:N"),
    ],
)
def test_a_mistake_is_one_line(call, arguments, message):
    code = call(*arguments, "--out", "maps")
    assert isinstance(code, str) and "\n" not in code
    assert code.startswith("error: ")
    assert message in code


def test_a_folder_without_rasters_is_one_line(project, call):
    (project / "empty").mkdir()
    assert "empty: no image there" in str(call("empty", "--out", "maps"))


def test_a_scene_that_cannot_be_read_does_not_keep_the_others_from_being_mapped(project, call, log):
    (project / "scenes/aa.tif").write_text("not a raster")
    (project / "scenes/._a.tif").write_text("what macOS leaves")
    assert call("scenes", "--out", "maps") == "error: 1 of 3 scenes not mapped: scenes/aa.tif"
    assert "scenes/aa.tif: not a readable raster" in log.read()
    assert all((project / f"maps/{name}.landcover.tif").is_file() for name in "ab")


def test_a_scene_whose_name_is_not_utf8_does_not_keep_the_others_from_being_mapped(project, call):
    shutil.copy("scenes/a.tif", b"scenes/caf\xe9.tif")
    message = call("scenes", "--out", "maps")
    assert "1 of 3 scenes not mapped" in message
    assert Path("maps/a.landcover.tif").is_file()
    assert Path("maps/b.landcover.tif").is_file()
