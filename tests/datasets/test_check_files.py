"""check_dataset: every bad file is reported, all at once, and nothing that is right."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from run_tool import run_tool

from mmseg.datasets.check import build_parts, check_sample, find_leaks, mean_and_std


@pytest.fixture
def check(folder_config):
    """Check one sample of `folder_config`."""
    return lambda name: check_sample(build_parts(folder_config)[0], name)


def test_a_right_sample_has_no_problem_and_all_its_numbers(check, image_folder):
    sample = check("a")
    pixels = np.asarray(Image.open(image_folder / "img_dir/a.jpg")).reshape(-1, 3) / 1.0
    assert sample.problems == []
    assert sample.size == (48, 64)
    assert sample.class_pixels.tolist() == [22 * 48, 21 * 48, 21 * 48]
    mean, std = mean_and_std([sample])
    np.testing.assert_allclose(mean, pixels.mean(0), atol=0.5)  # two JPEG decoders
    np.testing.assert_allclose(std, pixels.std(0), atol=0.5)


def test_mean_and_std_are_over_all_pixels_in_rgb_order(check, image_folder, folder_config):
    folder_config["img_suffix"] = ".png"
    for name, shape, colour in (("a", (48, 64, 3), (10, 20, 30)), ("b", (24, 64, 3), (40, 20, 0))):
        Image.fromarray(np.full(shape, colour, np.uint8)).save(image_folder / f"img_dir/{name}.png")
    mean, std = mean_and_std([check("a"), check("b")])
    np.testing.assert_allclose(mean, [20, 20, 20])
    np.testing.assert_allclose(std, [200**0.5, 0, 200**0.5], atol=1e-6)


def save_mask(folder: Path, values: np.ndarray) -> None:
    Image.fromarray(values.astype(np.uint8)).save(folder / "ann_dir/a.png")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


SPOILERS = {
    r"img_dir/a\.jpg: the image is truncated": lambda f: cut(f / "img_dir/a.jpg"),
    r"ann_dir/a\.png: the mask is truncated": lambda f: cut(f / "ann_dir/a.png"),
    r"img_dir/a\.jpg: cannot decode the image": lambda f: (f / "img_dir/a.jpg").write_bytes(b"x"),
    r"img_dir/a\.jpg: cannot read the image": lambda f: (f / "img_dir/a.jpg").unlink(),
    r"ann_dir/a\.png: cannot read the mask": lambda f: (f / "ann_dir/a.png").unlink(),
    r"ann_dir/a\.png: .* ids 3 outside": lambda f: save_mask(f, np.full((48, 64), 3)),
    r"a\.png: the mask is 48x64 pixels, its image \S*a\.jpg 64x48": lambda f: save_mask(
        f, np.zeros((64, 48))
    ),
    r"a\.png: the mask is empty": lambda f: save_mask(f, np.full((48, 64), 255)),
    r"a\.png: the 3 channels of the mask differ": lambda f: save_mask(
        f, np.arange(48 * 64 * 3).reshape(48, 64, 3) % 3
    ),
}


@pytest.mark.parametrize("message", SPOILERS)
def test_a_bad_file_is_reported_once_by_name(check, image_folder, message):
    SPOILERS[message](image_folder)
    problems = check("a").problems
    assert len(problems) == 1
    with pytest.raises(ValueError, match=message):
        raise ValueError(problems[0])


def test_grey_and_palette_images_are_right(check, image_folder):
    grey = np.arange(48 * 64, dtype=np.uint8).reshape(48, 64)
    Image.fromarray(grey).save(image_folder / "img_dir/a.jpg")
    assert check("a").problems == []
    Image.fromarray(grey).convert("P").save(image_folder / "img_dir/a.jpg", "PNG")
    assert check("a").problems == []


def test_a_picture_of_two_splits_is_a_leak_that_the_earlier_one_is_to_lose(check, image_folder):
    with Image.open(image_folder / "img_dir/a.jpg") as image:
        # The same pixels in another file.
        image.save(image_folder / "img_dir/b.jpg", quality="keep", comment=b"copied")
    splits = {"train": [check("a"), check("c")], "val": [check("b"), check("d")]}
    find_leaks(splits)
    assert splits["train"][0].problems == [
        f"{image_folder}/img_dir/a.jpg: the same picture as {image_folder}/img_dir/b.jpg of val; "
        "take it out of train"
    ]
    assert not any(s.problems for s in (splits["train"][1], *splits["val"]))


@pytest.fixture
def run(folder_config, image_folder):
    """Run the tool with `folder_config` as train, and e and f, without problems, as val."""
    for name in ("e", "f"):
        noise = np.random.default_rng(ord(name)).integers(0, 256, (40, 60, 3), np.uint8)
        for kind, values in (("img", noise), ("ann", noise[..., 0] % 3)):
            path = image_folder / f"val_{kind}/{name}.{'jpg' if kind == 'img' else 'png'}"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(values).save(path)
    val = {**folder_config, "data_prefix": {"img_path": "val_img", "seg_map_path": "val_ann"}}
    (image_folder / "config.py").write_text(
        f"train_dataloader = dict(dataset={folder_config!r})\n"
        f"val_dataloader = test_dataloader = dict(dataset={val!r})\n"
    )

    def call(*arguments: str) -> subprocess.CompletedProcess:
        return run_tool("check_dataset.py", "config.py", *arguments, cwd=image_folder)

    return call


def test_the_tool_ends_with_0_and_the_numbers_when_all_is_right(run):
    result = run()
    assert result.returncode == 0, result.stderr
    for part in ("0 problems in 6 samples", "40 to 40", "48 to 48", "4,224 (34.38%)"):
        assert part in result.stdout
    # val and test are the same files: checked once, and no leak.
    assert "test" not in result.stdout


def test_the_tool_reports_everything_ends_with_1_and_writes_the_rest(run, image_folder):
    cut(image_folder / "img_dir/a.jpg")
    (image_folder / "ann_dir/b.png").unlink()
    (image_folder / "ann_dir/z.png").write_bytes((image_folder / "ann_dir/c.png").read_bytes())
    (image_folder / "val_img/e.jpg").write_bytes((image_folder / "img_dir/d.jpg").read_bytes())
    (image_folder / "val_ann/e.png").write_bytes((image_folder / "ann_dir/d.png").read_bytes())
    result = run("--fix-list", "good.txt")
    assert result.returncode == 1, result.stderr
    assert "4 problems in 6 samples" in result.stdout
    for part in (
        "a.jpg: the image is trunc",
        "b.png: cannot read the mask",
        "z.png: the mask has no image",
    ):
        assert part in result.stdout
    assert "d.jpg: the same picture as" in result.stdout
    assert (image_folder / "good_train.txt").read_text() == "c\n"
    assert (image_folder / "good_val.txt").read_text() == "e\nf\n"


def test_a_training_set_of_one_class_is_a_problem(run, image_folder):
    for path in (image_folder / "ann_dir").iterdir():
        ids = np.asarray(Image.open(path))
        Image.fromarray(np.where(ids == 2, 255, 0).astype(np.uint8)).save(path)
    result = run()
    assert result.returncode == 1, result.stderr
    assert "train: all masks hold no other class than field; if 255, which is" in result.stdout
    assert "1 problems in 6 samples" in result.stdout


def test_one_split_is_checked_alone_and_its_list_has_the_name_given(run, image_folder, check):
    cut(image_folder / "img_dir/a.jpg")
    save_mask(image_folder, np.full((48, 64), 3))
    assert len(check("a").problems) == 2  # both files of a sample are reported
    assert run("--split", "val").returncode == 0
    assert run("--split", "train", "--fix-list", "good.txt").returncode == 1
    assert (image_folder / "good.txt").read_text() == "b\nc\nd\n"


def test_the_list_that_is_checked_is_not_replaced(run, image_folder):
    (image_folder / "all.txt").write_text("a\nb\nc\nd\n")
    ours = ("--split", "train", "--cfg-options", "train_dataloader.dataset.ann_file=all.txt")
    result = run("--fix-list", "all.txt", *ours)
    assert result.returncode == 1
    assert "error: --fix-list all.txt: is the list that is checked; name a" in result.stderr
    assert (image_folder / "all.txt").read_text() == "a\nb\nc\nd\n"
