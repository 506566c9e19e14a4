"""check_dataset, browse_dataset and predict with five 16-bit bands; predictions of arrays."""

import numpy as np
import pytest
import rasterio
from PIL import Image
from run_tool import call_tool as call
from tiny_project import ROOT

from find_label_errors import report
from mmseg.apis import inference_model, init_model
from mmseg.checkpoints.files import read_checkpoint, write_checkpoint
from mmseg.errors import UserError
from mmseg.imagery.geotiff import Affine, write_geotiff
from mmseg.results.label_errors import LabelErrors

BANDS = ("blue", "green", "red", "rededge", "nir")
CONFIG = f"""
_base_ = ["{ROOT}/local_configs/segnext/tiny/segnext.tiny.256x256.naip4_nopre.py"]
bands = {BANDS}
fill = dict(mean=(2000.0,) * 5, std=(900.0,) * 5)
info = dict(bands=bands, bits="uint16", gsd=2.0)
model = dict(
    data_preprocessor=dict(size=(64, 64), **fill),
    backbone=dict(in_channels=5, embed_dims=(8, 16, 24, 32), depths=(1, 1, 1, 1)),
    decode_head=dict(
        in_channels=(16, 24, 32), channels=32, ham_channels=32, ham_kwargs=dict(MD_R=4),
        norm_cfg=dict(type="GN", num_groups=4),
    ),
)
pipeline = [
    dict(type="LoadImageFromFile", fill=fill["mean"]),
    dict(type="LoadAnnotations"),
    dict(type="RandomTurn"),
    dict(type="PhotoMetricDistortion", on_device=True),
    dict(type="PackSegInputs"),
]
own = dict(data_root="data", metainfo=info, data_prefix=dict(img_path="img", seg_map_path="ann"))
train_dataloader = dict(num_workers=0, dataset=dict(own, pipeline=pipeline))
val_dataloader = dict(num_workers=0, dataset=dict(own, pipeline=pipeline))
test_dataloader = dict(
    num_workers=0, dataset=dict(own, pipeline=[pipeline[0], pipeline[1], pipeline[-1]])
)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    (tmp_path / "data/ann").mkdir(parents=True)
    for name in ("a", "b"):
        image = rng.integers(100, 9000, (64, 64, 5)).astype(np.uint16)
        path = tmp_path / f"data/img/{name}.tif"
        write_geotiff(path, image, Affine(2, 0, 0, 0, -2, 0), "EPSG:32633", names=BANDS)
        Image.fromarray(rng.integers(0, 6, (64, 64)).astype(np.uint8)).save(
            tmp_path / f"data/ann/{name}.tif"
        )
    (tmp_path / "bands.py").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_tool_of_images_takes_16_bit_bands(folder, capsys):
    model = init_model("bands.py", device="cpu", fused=False)
    write_checkpoint("a.pth", model.state_dict(), {"nmf_rank": 4})
    assert call("check_dataset.py", "bands.py", "--split", "train") == 0
    assert "0 problems in 2 samples" in capsys.readouterr().out
    colours = ("--bands", "nir", "red", "green")
    assert call("browse_dataset.py", "bands.py", *colours, "--output-dir", "browse") is None
    assert (folder / "browse/sheet_0.png").is_file()
    device = ("--device", "cpu", "--engine", "torch")
    assert call("predict.py", "bands.py", "a.pth", "data/img", "--out", "pred", *device) is None
    assert np.asarray(Image.open(folder / "pred/ids/a.png")).shape == (64, 64)
    assert np.asarray(Image.open(folder / "pred/overlay/a.png"))[:64, :64].std() > 20
    assert call("test.py", "bands.py", "a.pth", "--work-dir", "test", "--report") is None
    assert len(list(folder.glob("test/report/predictions/*.png"))) == 2
    page = (folder / "test/report/index.html").read_text()
    assert "The worst, the median and the best" in page and "no longer, as tested" not in page
    assert call("get_flops.py", "bands.py", "--shape", "64", "64") is None
    message = call("browse_dataset.py", "bands.py", "--bands", "swir", "--out", "browse")
    assert message == f"error: bands to show are swir: give one or three of {', '.join(BANDS)}"


def test_the_places_of_wrong_labels_are_shown_in_16_bit_bands(folder):
    prob, labels = np.full((6, 64, 64), 0.01), np.zeros((64, 64), np.uint8)
    prob[2, :32], prob[2, 32:], labels[32:] = 0.95, 0.9, 2  # the upper half is labelled wrongly
    errors = LabelErrors(6, min_pixels=64)
    errors.add("data/img/a.tif", prob, labels)
    classes = [str(i) for i in range(6)]
    report(errors, folder, 0.5, {"classes": classes, "bands": BANDS, "bits": "uint16"})
    assert np.asarray(Image.open(folder / "sheet.png")).std() > 20


def test_a_published_model_keeps_bands_bits_and_gsd(folder, capsys):
    model = init_model("bands.py", device="cpu", fused=False)
    meta = {"dataset_meta": model.dataset_meta, "nmf_rank": 4}
    write_checkpoint("a.pth", model.state_dict(), meta)
    assert call("publish_model.py", "a.pth", "out.pth", "--config", "bands.py") is None
    stored = read_checkpoint(capsys.readouterr().out.strip())["meta"]["dataset_meta"]
    assert stored["bands"] == BANDS and (stored["bits"], stored["gsd"]) == ("uint16", 2.0)


def test_an_array_is_predicted_as_its_file_and_one_of_other_bands_is_refused(folder):
    model = init_model(folder / "bands.py", device="cpu")
    with rasterio.open(folder / "data/img/a.tif") as raster:
        pixels = raster.read().transpose(1, 2, 0)
    found = inference_model(model, pixels).pred_sem_seg.data
    assert (found == inference_model(model, folder / "data/img/a.tif").pred_sem_seg.data).all()
    with pytest.raises(UserError, match=r"\(height, width, 5\) uint16 array of blue, green, red"):
        inference_model(model, pixels[..., :3])
