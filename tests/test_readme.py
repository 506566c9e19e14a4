"""What the README says can be done as it is written there."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from run_tool import run_tool
from tiny_project import write_project

from mmseg.config import load_config
from mmseg.registry import DATASETS, MODELS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def own_folder_config() -> str:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    return next(block for block in blocks if "data/mine" in block)


def test_the_ten_line_config_makes_any_folder_a_data_set(tmp_path, monkeypatch):
    for split in ("train", "val"):
        for kind, suffix in (("images", "jpg"), ("masks", "png")):
            (tmp_path / f"data/mine/{split}/{kind}").mkdir(parents=True)
            path = tmp_path / f"data/mine/{split}/{kind}/a.{suffix}"
            shape = (600, 600, 3) if kind == "images" else (600, 600)
            Image.fromarray(np.full(shape, 2, np.uint8)).save(path)
    text = own_folder_config().replace("local_configs/", f"{ROOT}/local_configs/")
    assert len([line for line in text.splitlines() if line.strip()]) <= 10
    (tmp_path / "my_config.py").write_text(text)
    monkeypatch.chdir(tmp_path)

    config = load_config("my_config.py")
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        dataset = DATASETS.build(loader.dataset)
        assert dataset.metainfo["classes"] == ("ground", "roof", "tree")
        assert len(dataset) == 1
    sample = DATASETS.build(config.train_dataloader.dataset)[0]
    model = MODELS.build(config.model)
    assert sample["data_samples"].gt_sem_seg.data.unique().tolist() == [2]
    assert model.decode_head.num_classes == 3
    assert model.decode_head.loss_decode[0].class_weight is None


def test_images_fit_one_size_with_the_lines_of_the_documentation(tmp_path):
    page = (ROOT / "docs/datasets.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```python\n(.*?)```", page, re.S)
    text = (own_folder_config() + lines).replace("local_configs/", f"{ROOT}/local_configs/")
    (tmp_path / "my_config.py").write_text(text)
    config = load_config(str(tmp_path / "my_config.py"))
    for split in ("train", "val", "test"):
        dataset = config[f"{split}_dataloader"]["dataset"]
        scales = [step["scale"] for step in dataset["pipeline"] if "scale" in step]
        assert scales == [(1024, 1024)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_named_in_the_documentation_exist(page):
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:local_configs|tools|docs|tests|mmseg|resources)/[\w./-]+\w", text))
    absent = [name for name in named if not (ROOT / name).exists() and "mmsegmentation" not in name]
    assert not absent


def test_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_parts_of_one_s_own_train_as_they_are_written(tmp_path):
    page = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
    parts, config, *_, program = re.findall(r"```python\n(.*?)```", page, re.S)
    write_project(tmp_path)
    (tmp_path / "my_parts.py").write_text(parts)
    base, config = config.split("\n", 1)
    assert (ROOT / base.split('"')[1]).is_file()
    (tmp_path / "my_config.py").write_text('_base_ = "tiny.py"\n' + config)
    one = ["--cfg-options", "train_cfg.max_iters=1"]
    result = run_tool("train.py", "my_config.py", *one, cwd=tmp_path, python_path=tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    assert re.search(r"decode.loss_ce: \d\.\d+ .*decode.loss_focal: \d\.\d+", result.stdout)
    assert (tmp_path / "work_dirs/my_config/iter_1.pth").is_file()
    assert "SegRunner.from_cfg(config).train()" in program  # held by test_programs.py
