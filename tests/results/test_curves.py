"""Curves of trainings, as they are in the files and as they are drawn."""

import json
from xml.etree import ElementTree

import pytest

from mmseg.errors import UserError
from mmseg.results.figures import plot_curves, read_curves


def write_session(work_dir, name, lines) -> None:
    path = work_dir / name / "vis_data/scalars.json"
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines) + '{"cut')


def test_sessions_of_a_training_are_one_curve_and_the_later_one_counts(tmp_path):
    write_session(tmp_path, "20260101_1", [{"loss": 3.0, "step": 1}, {"loss": 2.0, "step": 2}])
    write_session(tmp_path, "20260101_2", [{"loss": 1.5, "step": 2}, {"mIoU": 40.0, "step": 2}])
    assert read_curves(tmp_path) == {"loss": {1: 3.0, 2: 1.5}, "mIoU": {2: 40.0}}


def test_every_run_has_a_line_in_every_panel(tmp_path):
    runs = {
        "first": {"loss": {1: 3.0, 2: 2.0}, "IoU/road": {2: 10.0}, "IoU/tree": {2: 20.0}},
        "second": {"loss": {1: 2.0, 2: 1.0}},
    }
    paths = plot_curves(tmp_path / "curves", runs, ["loss", "IoU/*"])
    assert [path.name for path in paths] == ["curves.png", "curves.svg"]
    texts = ElementTree.parse(paths[1]).iter()
    ids = [each.get("id", "") for each in texts]
    assert sum(each.startswith("axes_") for each in ids) == 3
    again = plot_curves(tmp_path / "again", runs, ["loss", "IoU/*"])
    assert again[1].read_bytes() == paths[1].read_bytes()


def test_a_folder_without_scalars_and_a_scalar_that_no_run_has_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"no scalars\.json in it"):
        read_curves(tmp_path)
    with pytest.raises(UserError, match="no run has mIou; there are loss"):
        plot_curves(tmp_path / "c", {"a": {"loss": {1: 1.0}}}, ["mIou"])
