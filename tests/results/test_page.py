"""The page of a test: what it says, and that it needs nothing else."""

import csv
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from kept_runs import keep_run, random_matrices
from PIL import Image
from run_tool import run

from mmseg.errors import UserError
from mmseg.evaluation.confusion import scores
from mmseg.results.report import write_report
from mmseg.results.runs import Run


class Page(HTMLParser):
    """The texts of a page, and the addresses that it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts, self.addresses = [], []
        self.feed(text)

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.addresses += [v for k, v in attrs if k == "src" or (k == "href" and tag == "link")]


@pytest.fixture(scope="module")
def report(project):
    checkpoint = project / "work_dirs/tiny/latest.pth"
    run(project, "test.py", "tiny.py", str(checkpoint), "--report", "report")
    return project / "report"


def table(path):
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_page_loads_nothing_and_is_small(report):
    text = (report / "index.html").read_text()
    addresses = Page(text).addresses
    assert addresses and all(each.startswith("data:image/jpeg") for each in addresses)
    assert "@import" not in text and "url(http" not in text
    assert len(text) < 20e6


def test_page_and_tables_have_the_scores_of_the_test(report, project):
    found = Run.load(project / "work_dirs/tiny")
    result = scores(found.counts.matrix())
    texts = Page((report / "index.html").read_text()).texts
    assert f"{result['mIoU']:.2f}" in texts
    rows = table(report / "classes.csv")
    assert [row["class"] for row in rows] == ["ground", "roof", "tree"]
    assert [row["IoU"] for row in rows] == [f"{v:.2f}" for v in result["IoU"]]
    for row in rows:
        low, high = map(float, row["IoU 95 %"].split(" to "))
        assert low <= float(row["IoU"]) <= high
    images = table(report / "per_image.csv")
    worst = min(scores(found.counts.matrix(slice(i, i + 1)))["mIoU"] for i in range(5))
    assert images[0]["mIoU"] == f"{worst:.2f}" and len(images) == 5
    assert float(table(report / "boundaries.csv")[0]["boundary IoU"]) >= 0
    assert len(table(report / "calibration.csv")) == 3


def test_pictures_show_only_predictions_of_the_test(report, project, tmp_path):
    page = (report / "index.html").read_text()
    assert page.count("data:image/jpeg") == 5 and "no longer" not in page
    other = tmp_path / "other"
    shutil.copytree(report, other)
    for path in (other / "predictions").glob("*.png"):
        ids = np.array(Image.open(path))
        Image.fromarray((ids + 1) % 3).save(path)
    page = write_report(Run.load(project / "work_dirs/tiny"), other).read_text()
    assert "data:image/jpeg" not in page
    assert page.count("image, mask or prediction are not, or no longer, as tested") == 5


def test_the_largest_confusions_are_said_in_words(tmp_path):
    matrices = np.array([[[90, 10], [30, 10]]])
    write_report(Run.load(keep_run(tmp_path / "a", matrices, "a")), tmp_path / "report")
    texts = Page((tmp_path / "report/index.html").read_text()).texts
    assert "75.0% of water & ice is called land." in texts
    assert texts.index("75.0% of water & ice is called land.") < texts.index(
        "10.0% of land is called water & ice."
    )


@pytest.mark.parametrize(
    "matrices",
    [np.zeros((2, 2, 2), np.int64), random_matrices(1, 0.8, 1)],
    ids=["no label", "one image"],
)
def test_a_test_with_little_gives_a_page(tmp_path, matrices):
    page = write_report(Run.load(keep_run(tmp_path / "a", matrices, "a")), tmp_path / "report")
    assert "How it was made" in Page(page.read_text()).texts


def test_a_test_without_images_is_refused(tmp_path):
    with pytest.raises(UserError, match="no image was tested"):
        Run.load(keep_run(tmp_path / "a", np.zeros((0, 2, 2), np.int64), "a"))


def test_many_classes_and_images_stay_small(tmp_path):
    classes = [f"class {k}" for k in range(300)]
    matrices = np.zeros((3, 300, 300), np.int64)
    matrices[:, np.arange(300), np.arange(300)[::-1]] = 5
    made = keep_run(tmp_path / "a", matrices, "a", classes=classes)
    page = write_report(Run.load(made), tmp_path / "report")
    assert "The picture has the 40 largest of 300 classes." in Page(page.read_text()).texts
    assert page.stat().st_size < 20e6


def test_the_tool_writes_the_page_of_an_earlier_test(tmp_path):
    keep_run(tmp_path / "a", random_matrices(4, 0.8, 1), "a")
    assert run(tmp_path, "report.py", "a") == "a/report/index.html\n"
    assert (tmp_path / "a/report/index.html").is_file()
