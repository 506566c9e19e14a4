"""Comparisons of runs, against resampling by hand; tables as other programs read them."""

import csv

import numpy as np
import pytest
from kept_runs import keep_run, random_matrices
from run_tool import run_tool

from mmseg.errors import UserError
from mmseg.evaluation.confusion import scores
from mmseg.results.runs import Run, comparison, difference, variants_of
from mmseg.results.tables import latex, markdown


def variants(tmp_path, *runs):
    loaded = []
    for i, (config, seed, matrices) in enumerate(runs):
        loaded.append(Run.load(keep_run(tmp_path / f"run{i}", matrices, config, seed)))
    return variants_of(loaded)


def test_a_difference_is_that_of_images_that_are_drawn_for_both_runs(tmp_path):
    a, b = random_matrices(30, 0.8, 1), random_matrices(30, 0.83, 2)
    made = variants(tmp_path, ("a", 0, a), ("b", 0, b))
    found = difference(made["a"]["mIoU"], made["b"]["mIoU"])
    rng, drawn = np.random.default_rng(3), []
    for _ in range(2000):
        chosen = rng.choice(30, 30)
        miou = [scores(each[chosen].sum(0))["mIoU"] for each in (a, b)]
        drawn.append(miou[1] - miou[0])
    low, high = np.percentile(drawn, [2.5, 97.5])
    exact = scores(b.sum(0))["mIoU"] - scores(a.sum(0))["mIoU"]
    assert found[0] == pytest.approx(exact)
    assert found[1:3] == pytest.approx([low, high], abs=0.1 * (high - low))
    p = 2 * min(np.mean(np.less_equal(drawn, 0)), np.mean(np.greater_equal(drawn, 0)))
    assert found[3] == pytest.approx(p, abs=0.03)


def test_equal_runs_do_not_differ(tmp_path):
    matrices = random_matrices(10, 0.8, 1)
    made = variants(tmp_path, ("a", 0, matrices), ("b", 0, matrices))
    found = difference(made["a"]["mIoU"], made["b"]["mIoU"])
    assert found == (0, 0, 0, 1)


def test_one_image_tells_no_interval(tmp_path):
    made = variants(
        tmp_path, ("a", 0, random_matrices(1, 0.8, 1)), ("b", 0, random_matrices(1, 0.9, 2))
    )
    assert np.isnan(difference(made["a"]["mIoU"], made["b"]["mIoU"])[1:]).all()


def test_seeds_of_a_config_are_one_variant_with_mean_and_deviation(tmp_path):
    a = [random_matrices(10, 0.8, seed) for seed in range(3)]
    b = random_matrices(10, 0.9, 9)
    made = variants(tmp_path, *(("a", i, m) for i, m in enumerate(a)), ("b", 0, b))
    columns, rows = comparison(made)
    assert columns[1:3] == ["a (n=3)", "b (n=1)"]
    mious = [scores(each.sum(0))["mIoU"] for each in a]
    row = next(row for row in rows if row[0] == "mIoU")
    assert row[1] == f"{np.mean(mious):.2f} +- {np.std(mious, ddof=1):.2f}"


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"matrices": random_matrices(9, 0.8, 1)}, "tested on 9 other images than the 10"),
        ({"classes": ("land", "sea")}, "has other classes"),
        ({"matrices": random_matrices(10, 0.8, 1) + 1}, r"the mask of /d/0\.png differs"),
    ],
)
def test_runs_on_other_data_are_refused(tmp_path, other, message):
    matrices = random_matrices(10, 0.8, 1)
    one = Run.load(keep_run(tmp_path / "a", matrices, "a"))
    two = Run.load(keep_run(tmp_path / "b", **{"matrices": matrices, "config": "b"} | other))
    with pytest.raises(UserError, match=message):
        variants_of([one, two])


def test_the_tool_prints_and_writes_the_table(tmp_path):
    for name, share in (("a", 0.8), ("b", 0.9)):
        keep_run(tmp_path / name, random_matrices(20, share, 1), name)
    result = run_tool("compare.py", "a", "b", "--out", "table", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "water & ice" in result.stdout
    with open(tmp_path / "table.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["IoU / mean"] for row in rows] == ["land", "water & ice", "mIoU", "mAcc", "aAcc"]
    assert float(rows[2]["difference"]) > 10 and rows[2]["p"] == "0.001"
    assert r"water \& ice & " in (tmp_path / "table.tex").read_text()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: no eval_\*\.json in it; run tools/test\.py first"):
        Run.load(tmp_path / "empty")


def test_cells_that_hold_marks_of_the_format_are_escaped():
    assert markdown(["a|b"], [["c"]]) == "| a\\|b |\n| --- |\n| c |\n"
    assert r"50\% \_x" in latex(["a"], [["50% _x"]])
