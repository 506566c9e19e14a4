"""The summary and the checks at the start of a run, in a stand-in for the runner."""

from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmseg.engine.run_summary import RunSummaryHook
from mmseg.errors import UserError
from mmseg.evaluation import IoUMetric
from mmseg.models import SegTTAModel

META = {
    "classes": ("field", "wood", "water"),
    "palette": [(250, 180, 60), (0, 100, 0), (0, 0, 255)],
    "reduce_zero_label": False,
}


class Runner:
    """What the summary reads of mmengine's runner."""

    def __init__(self, meta=META, num_classes=3, weight=None, work_dir=".", schedule_end=40_000):
        loss = SimpleNamespace(class_weight=None if weight is None else torch.tensor(weight))
        self.model = nn.Module()
        self.model.decode_head = SimpleNamespace(
            num_classes=num_classes, loss_decode=[loss], ignore_index=255
        )
        dataset = SimpleNamespace(metainfo=meta)
        loader = SimpleNamespace(dataset=dataset, batch_size=16)
        self.train_dataloader = self.val_dataloader = self.test_dataloader = loader
        self.val_loop = None
        self.cfg, self._resume, self.world_size = {}, False, 1
        self.param_schedulers = [
            SimpleNamespace(end=1500),  # a warm-up
            SimpleNamespace(end=schedule_end, eta_min=0.0),
        ]
        self.max_iters, self.work_dir = 40_000, work_dir
        self.lines = []
        self.logger = SimpleNamespace(
            **{level: partial(self.log, level) for level in ("info", "warning")}
        )

    def log(self, level, text):
        self.lines.append((level, text))


def summary(runner):
    """The log of the start of a training, as (level, text)."""
    RunSummaryHook().before_train(runner)
    return runner.lines


@pytest.mark.parametrize("reduced", [0, 1])
@pytest.mark.parametrize(
    ("given", "weights"),
    [(None, ["1", "1", "1"]), ([0.5, 9.157, 0.8525], ["0.5", "9.157", "0.8525"])],
)
def test_table_leads_from_mask_value_to_train_id_class_colour_and_weight(reduced, given, weights):
    lines = summary(Runner({**META, "reduce_zero_label": bool(reduced)}, weight=given))
    (text,) = [text for _, text in lines if text.startswith("classes of the training data")]
    rows = [line for line in text.splitlines() if line.startswith("|") and "--" not in line]
    classes = [("field", "#fab43c"), ("wood", "#006400"), ("water", "#0000ff")]
    assert [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1:]] == [
        [str(i + reduced), str(i), *classes[i], weights[i]] for i in range(3)
    ]
    assert text.endswith("ignored mask values: " + ("0, 255" if reduced else "255"))


@pytest.mark.parametrize(
    ("per_process", "processes", "counts", "total"),
    [(16, 1, 1, 16), (8, 2, 1, 16), (2, 2, 4, 16), (8, 1, 1, 8), (8, 8, 1, 64)],
)
def test_the_batch_is_logged_with_its_factors_and_one_that_is_not_the_recipes_is_a_warning(
    per_process, processes, counts, total
):
    runner = Runner()
    runner.train_dataloader.batch_size, runner.world_size = per_process, processes
    runner.cfg = {"optim_wrapper": {"accumulative_counts": counts}}
    (line,) = [line for line in summary(runner) if line[1].startswith("effective batch")]
    factors = f"{per_process} images x {processes} processes x {counts} accumulated steps"
    text = f"effective batch {total} = {factors}"
    assert line[1].startswith(text) and ("the recipe's is 16" in line[1]) == (total != 16)
    assert line[0] == ("info" if total == 16 else "warning")


@pytest.mark.parametrize("when", ["before_train", "before_val", "before_test"])
def test_number_of_classes_that_does_not_fit_the_data_is_refused(when):
    runner = Runner(num_classes=150)
    with pytest.raises(UserError, match=r"num_classes=150, but the data set has 3 classes: set"):
        getattr(RunSummaryHook(), when)(runner)


def test_predictions_of_one_name_are_refused_before_the_first(tmp_path):
    runner = Runner()
    paths = ["/data/a/1.png", "/data/b/1.png"]
    runner.test_dataloader.dataset = Images(paths)
    for folder in (None, str(tmp_path)):
        runner.test_evaluator = SimpleNamespace(metrics=[IoUMetric(output_dir=folder)])
        with nullcontext() if folder is None else pytest.raises(UserError, match="would both be"):
            RunSummaryHook().before_test(runner)


class Images(list):
    metainfo = META

    def get_data_info(self, index):
        return {"img_path": self[index]}


def test_ids_of_a_subset_are_logged_and_written(tmp_path):
    runner = Runner(work_dir=str(tmp_path))
    runner.train_dataloader.dataset.subset_ids = ["b", "d/e"]
    lines = [text for _, text in summary(runner)]
    assert f"training on a subset of 2 images, listed in {tmp_path}/subset.txt" in lines
    assert (tmp_path / "subset.txt").read_text() == "b\nd/e\n"


def test_summary_finds_the_head_inside_of_wrappers():
    runner = Runner()
    inner = runner.model
    inner.test_step = None  # the wrapper looks for it
    runner.model = SegTTAModel(module=inner)
    assert "field" in summary(runner)[0][1]


@pytest.mark.parametrize("resumes", [False, True])
@pytest.mark.parametrize(
    ("end", "told"),
    [(20_000, True), (39_999, True), (40_000, False), (40_001, False), (40_002, True)],
)
def test_a_learning_rate_that_ends_at_another_time_than_the_training_is_a_warning(
    end, told, resumes
):
    runner = Runner(schedule_end=end)
    runner._resume = resumes
    lines = [line for line in summary(runner) if "learning rate" in line[1]]
    fault = f"the learning rate falls until iteration {end}, but the training ends at 40000: "
    cure = "set the `end` of param_scheduler to 40000"
    if resumes:
        cure = "for another schedule start from the checkpoint by --load-from"
    assert lines == ([("warning", fault + cure)] if told else [])


def test_a_validation_that_names_or_reads_classes_otherwise_is_a_warning(warnings):
    runner = Runner()
    other = {**META, "classes": ("field", "water", "wood"), "reduce_zero_label": True}
    runner.val_dataloader = SimpleNamespace(dataset=SimpleNamespace(metainfo=other))
    assert not [text for level, text in summary(runner) if level == "warning"] and not warnings
    runner.val_loop = object()
    told = [*warnings, *(text for level, text in summary(runner) if level == "warning"), *warnings]
    assert told == [
        "val_dataloader.dataset: reduce_zero_label=True, in training False: the same mask would "
        "mean other classes",
        "val_dataloader.dataset: 2 of 3 classes have other names than in the training: "
        "class 1 is 'water', there 'wood'",
    ]
