"""SegVisualizationHook, in a runner that is a stand-in."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, PixelData
from mmengine.visualization import LocalVisBackend
from PIL import Image

from mmseg.engine.visualization import SegVisualizationHook
from mmseg.errors import UserError
from mmseg.imagery.pictures import VERMILION, write_image

CLASSES = ("field", "wood", "water")
PALETTE = [(250, 180, 60), (0, 100, 0), (0, 0, 255)]
COLOURS = [(100, 50, 0), *PALETTE, VERMILION]


class ImageList(list):
    @property
    def metainfo(self):
        return {"classes": CLASSES, "palette": PALETTE}

    def get_data_info(self, index):
        return {"img_path": self[index]}


def make_runner(paths):
    return SimpleNamespace(test_dataloader=SimpleNamespace(dataset=ImageList(map(str, paths))))


def make_sample(path, pred, label=None):
    write_image(path, np.full((40, 60, 3), (100, 50, 0), np.uint8))
    sample = BaseDataElement(metainfo={"img_path": str(path)})
    sample.pred_sem_seg = PixelData(data=torch.full((1, 40, 60), pred))
    if label is not None:
        sample.gt_sem_seg = PixelData(data=torch.full((1, 40, 60), label, dtype=torch.uint8))
    return sample


def show(show_dir, samples, **settings):
    hook = SegVisualizationHook(str(show_dir), **settings)
    runner = make_runner([sample.img_path for sample in samples])
    hook.before_test(runner)
    hook.after_test_iter(runner, 0, outputs=samples)
    return sorted(str(path.relative_to(show_dir)) for path in show_dir.rglob("*.png"))


def test_picture_shows_image_truth_prediction_errors_and_the_classes_that_occur(tmp_path):
    samples = [
        make_sample(tmp_path / "a.png", pred=0, label=255),
        make_sample(tmp_path / "b.png", pred=0, label=2),
        make_sample(tmp_path / "c.png", pred=1),
    ]
    show(tmp_path / "out", samples, opacity=1)
    pixels = 40 * 60
    found = [
        [
            (np.array(Image.open(tmp_path / f"out/{name}.png")) == c).all(axis=2).sum()
            for c in COLOURS
        ]
        for name in "abc"
    ]
    # The swatches of the legend have less than a tenth of the pixels of a picture.
    counts = [[round(number / pixels) for number in row] for row in found]
    # Image, field, wood, water, errors. Ignored pixels stay the image, and are no errors.
    assert counts == [[2, 1, 0, 0, 0], [1, 1, 0, 1, 1], [1, 0, 1, 0, 0]]
    assert [row[1] % pixels > 0 for row in found] == [True, True, False]


@pytest.mark.parametrize(
    ("images", "pictures"),
    [
        (["x/1.png", "y/1.png"], ["x/1.png", "y/1.png"]),
        (["x/1.png", "x/2.png"], ["1.png", "2.png"]),
    ],
)
def test_images_of_several_folders_keep_them_and_those_of_one_are_written_flat(
    tmp_path, images, pictures
):
    samples = [make_sample(tmp_path / "data" / name, pred=0) for name in images]
    assert show(tmp_path / "out", samples) == pictures


def test_what_cannot_be_shown_is_named(tmp_path):
    samples = [make_sample(tmp_path / name, pred=0) for name in ("1.png", "1.jpg")]
    with pytest.raises(UserError, match=r"1\.png and .*1\.jpg would both be written"):
        show(tmp_path / "out", samples)
    (tmp_path / "1.png").write_bytes(b"not an image")
    with pytest.raises(UserError, match=r"1\.png: cannot decode the image"):
        show(tmp_path / "out", samples[:1])
    with pytest.raises(UserError, match="opacity is 5"):
        SegVisualizationHook(str(tmp_path), opacity=5)


@pytest.mark.parametrize("takes_pictures", [False, True])
def test_trackers_that_take_pictures_get_four_images_of_each_validation(tmp_path, takes_pictures):
    given = []
    backend = object() if takes_pictures else LocalVisBackend(str(tmp_path))
    runner = make_runner([])
    runner.val_dataloader, runner.iter = runner.test_dataloader, 7
    runner.visualizer = SimpleNamespace(
        _vis_backends={"x": backend},
        add_image=lambda name, image, step: given.append((name, image.shape, step)),
    )
    samples = [make_sample(tmp_path / f"{i}.png", pred=0, label=1) for i in range(3)]
    hook = SegVisualizationHook()
    hook.before_val(runner)
    for _ in range(3):
        hook.after_val_iter(runner, 0, outputs=samples)
    names = ["validation/0", "validation/1", "validation/2", "validation/0"]
    assert [name for name, _, _ in given] == (names if takes_pictures else [])
    assert all(shape[2] == 3 and step == 7 for _, shape, step in given)


def test_pictures_are_shown_in_a_window_for_a_while(tmp_path, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    shown = []
    monkeypatch.setattr("cv2.imshow", lambda _, picture: shown.append(picture))
    monkeypatch.setattr("cv2.waitKey", shown.append)
    hook = SegVisualizationHook(show=True, wait_time=0.5)
    runner = make_runner([tmp_path / "a.png"])
    hook.before_test(runner)
    hook.after_test_iter(runner, 0, outputs=[make_sample(tmp_path / "a.png", 1)])
    assert shown[0].shape[2] == 3 and shown[1] == 500


def test_a_window_without_a_display_is_refused_before_the_test(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="no display; write the pictures with --show-dir"):
        SegVisualizationHook(show=True)


def test_in_validation_the_first_image_of_some_batches_is_drawn(tmp_path):
    hook, runner = SegVisualizationHook(draw=True, interval=2), SimpleNamespace(iter=4)
    runner.work_dir = tmp_path
    runner.val_dataloader = SimpleNamespace(dataset=ImageList([]))
    runner.visualizer = SimpleNamespace(_vis_backends={})
    hook.before_run(runner)
    for batch, name in enumerate("abc"):
        samples = [make_sample(tmp_path / f"{name}{i}.png", pred=0) for i in range(2)]
        hook.after_val_iter(runner, batch, outputs=samples)
    drawn = sorted(str(path.relative_to(tmp_path / "vis")) for path in tmp_path.rglob("vis/*/*"))
    assert drawn == ["iter_4/a0.png", "iter_4/c0.png"]
