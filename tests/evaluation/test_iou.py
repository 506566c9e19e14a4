"""IoUMetric: counting image by image, written predictions, the JSON file, several processes."""

import json
import pickle

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from PIL import Image

from mmseg.errors import UserError
from mmseg.evaluation.iou import IoUMetric
from mmseg.evaluation.per_image import ImageCounts
from mmseg.registry import METRICS

CLASSES = ("field", "wood", "water", "road")
PALETTE = [(200, 180, 60), (0, 100, 0), (0, 0, 255), (90, 90, 90)]


def make_metric(**settings):
    metric = METRICS.build({"type": "IoUMetric", **settings})
    metric.dataset_meta = {"classes": CLASSES, "palette": PALETTE}
    return metric


def make_sample(name, pred, label=None, **meta):
    """A sample as `SegDataSample.to_dict()` gives it; pred and label are (H, W)."""
    sample = {
        "img_path": f"/data/{name}.jpg",
        "seg_map_path": f"/data/{name}.png",
        "pred_sem_seg": {"data": torch.as_tensor(np.array(pred))[None]},
        **meta,
    }
    if label is not None:
        sample["gt_sem_seg"] = {"data": torch.as_tensor(np.array(label, np.uint8))[None]}
    return sample


def random_samples(count, seed=0):
    random = np.random.default_rng(seed)
    return [
        # Class 3 never occurs.
        make_sample(i, random.integers(0, 3, (8, 9)), random.choice([0, 1, 2, 255], (8, 9)))
        for i in range(count)
    ]


def matrix_of(samples):
    matrix = np.zeros((4, 4), np.int64)
    for sample in samples:
        pred, label = sample["pred_sem_seg"]["data"], sample["gt_sem_seg"]["data"]
        np.add.at(matrix, (label[label != 255].long(), pred[label != 255]), 1)
    return matrix


def test_scores_of_several_batches_equal_those_of_all_pixels():
    samples = random_samples(5)
    metric = make_metric(iou_metrics=["mIoU", "mDice", "mFscore"])
    metric.process(None, samples[:2])
    metric.process(None, samples[2:])
    result = metric.evaluate(size=5)
    matrix = matrix_of(samples)
    correct, labelled, predicted = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    iou = correct[:3] / (labelled + predicted - correct)[:3]
    assert list(result) == [
        *("aAcc", "mIoU", "mAcc", "mDice", "mFscore", "mPrecision", "mRecall"),
    ]
    assert result["mIoU"] == pytest.approx(100 * iou.mean())
    assert result["aAcc"] == pytest.approx(100 * correct.sum() / labelled.sum())


def test_result_of_an_image_keeps_the_order_and_stays_small():
    metric = make_metric()
    metric.dataset_meta = {"classes": [str(i) for i in range(150)], "palette": []}
    metric.process(None, random_samples(2))
    # mmengine interleaves the processes' results image by image, then cuts the padding off the end
    assert [image[0] for image in metric.results] == ["/data/0.jpg", "/data/1.jpg"]
    assert all(image[4].dtype == np.int64 for image in metric.results)
    assert len(pickle.dumps(metric.results)) < 2000  # two matrices of 150 classes take 360,000


def test_table_goes_to_the_log(monkeypatch):
    lines = []
    monkeypatch.setattr(MMLogger.get_current_instance(), "info", lines.append)
    metric = make_metric()
    metric.process(None, random_samples(1))
    metric.evaluate(size=1)
    assert "road" in lines[-1] and "n/a" in lines[-1] and "mIoU" in lines[-1]


def test_json_holds_every_score_and_the_matrix_of_images_that_count_once(tmp_path):
    path = tmp_path / "new" / "scores.json"
    metric = make_metric(json_file=str(path))
    samples = random_samples(2)
    metric.process(None, [*samples, samples[0]])  # which a distributed sampler repeats
    result = metric.evaluate(size=2)
    content = json.loads(path.read_text())
    assert content["images"] == 2
    assert content["confusion_matrix"] == matrix_of(samples).tolist()
    assert content["classes"] == list(CLASSES)
    assert content["metrics"] == ["mIoU"]
    assert content["summary"]["mIoU"] == result["mIoU"]
    assert content["per_class"]["IoU"][3] is None
    assert content["per_class"].keys() == {"IoU", "Acc", "Dice", "Fscore", "Precision", "Recall"}
    images = ImageCounts.load(path.with_suffix(".images.npz"))
    for i, sample in enumerate(samples):
        assert images.matrix(slice(i, i + 1)).tolist() == matrix_of([sample]).tolist()
    assert len(list(path.parent.iterdir())) == 2


def test_format_only_writes_the_ids_of_the_data_set_without_ground_truth(tmp_path):
    metric = make_metric(format_only=True, output_dir=str(tmp_path))
    metric.process(None, [make_sample("a", [[0, 3]], reduce_zero_label=True)])
    metric.process(None, [make_sample("b", [[0, 3]], reduce_zero_label=False)])
    assert metric.evaluate(size=2) == {}
    shifted, plain = (Image.open(tmp_path / name) for name in ("a.png", "b.png"))
    assert np.array(shifted).tolist() == [[1, 4]]
    assert np.array(plain).tolist() == [[0, 3]]
    # The colours follow the classes, not the ids.
    assert np.array(shifted.convert("RGB")).tolist() == np.array(plain.convert("RGB")).tolist()


@pytest.mark.parametrize("shift", [0, 1])
def test_ids_are_written_without_a_palette_too(tmp_path, shift):
    metric = make_metric(format_only=True, output_dir=str(tmp_path))
    del metric.dataset_meta["palette"]
    metric.process(None, [make_sample("a", [[0, 3]], reduce_zero_label=bool(shift))])
    assert np.array(Image.open(tmp_path / "a.png")).tolist() == [[shift, 3 + shift]]


def test_predictions_are_written_beside_the_evaluation(tmp_path):
    metric = make_metric(output_dir=str(tmp_path))
    metric.process(None, [make_sample("a", [[0, 1]], [[0, 255]])])
    assert metric.evaluate(size=1)["aAcc"] == 100
    assert np.array(Image.open(tmp_path / "a.png")).tolist() == [[0, 1]]


def test_two_images_of_one_name_do_not_share_a_file_also_if_two_processes_have_them(tmp_path):
    metric = make_metric(format_only=True, output_dir=str(tmp_path))
    with pytest.raises(UserError, match=r"/data/x/1\.jpg and /data/y/1\.jpg would both"):
        metric.process(None, [make_sample("x/1", [[0]]), make_sample("y/1", [[0]])])
    none = np.zeros(0, np.int64)
    with pytest.raises(UserError, match="would both be written"):
        metric.compute_metrics([(f"/data/{x}/1.jpg", "", x, none, none) for x in ("x", "y")])


def test_sizes_that_differ_name_the_mask():
    with pytest.raises(UserError, match=r"^/data/a\.png: the prediction is \(1, 2\)"):
        make_metric().process(None, [make_sample("a", [[0, 1]], [[0]])])


def test_missing_ground_truth_names_the_image():
    with pytest.raises(UserError, match=r"/data/a\.jpg: no ground truth"):
        make_metric().process(None, [make_sample("a", [[0, 1]])])


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"iou_metrics": ["mIOU"]}, "mIOU"), ({"format_only": True}, "output_dir")],
)
def test_settings_without_sense_are_refused(settings, named):
    with pytest.raises(UserError, match=named):
        IoUMetric(**settings)


def test_beta_weighs_recall_and_nan_to_num_scores_classes_without_one():
    label, pred = [[0, 0, 0, 0, 1, 1, 1]], [[0, 0, 0, 1, 0, 0, 1]]
    values = {}
    for settings in ({}, {"beta": 2}, {"nan_to_num": -1}):
        metric = make_metric(iou_metrics=["mIoU", "mFscore"], **settings)
        metric.process({}, [make_sample(0, pred, label)])
        values[str(settings)] = metric.evaluate(1)
    precision, recall = np.array([3 / 5, 1 / 2]), np.array([3 / 4, 1 / 3])
    for beta, name in ((1, "{}"), (2, "{'beta': 2}")):
        f = (1 + beta**2) * precision * recall / (beta**2 * precision + recall)
        assert values[name]["mFscore"] == pytest.approx(100 * f.mean())
    # Classes 2 and 3 occur nowhere.
    iou = 100 * (3 / 6 + 1 / 4)
    assert values["{}"]["mIoU"] == pytest.approx(iou / 2)
    assert values["{'nan_to_num': -1}"]["mIoU"] == pytest.approx((iou - 200) / 4)


def test_the_log_says_how_the_peer_would_count_classes_without_a_hit(monkeypatch):
    lines = []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, "info", lines.append)
    metric = make_metric(iou_metrics=["mFscore"])
    metric.process({}, [make_sample(0, [[0, 0, 0, 0]], [[0, 0, 0, 1]])])
    assert metric.evaluate(1)["mFscore"] == pytest.approx(600 / 7 / 2)
    assert "counts the 1 classes without a right pixel as 0" in lines[-1]
    assert lines[-1].endswith("which gives 85.71")
