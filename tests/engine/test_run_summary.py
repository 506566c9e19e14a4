"""The summary and the checks at the start of a run, in a stand-in for the runner."""

from contextlib import nullcontext
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


class Log:
    def __init__(self):
        self.lines = []

    def info(self, text):
        self.lines.append(("info", text))

    def warning(self, text):
        self.lines.append(("warning", text))


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
        self.train_loop = SimpleNamespace(accumulate=1)
        self.cfg = {}
        self._resume = False
        self.world_size = 1
        groups = [
            {"initial_lr": 6e-5, "weight_decay": 0.01, "params": [1, 2]},
            {"initial_lr": 6e-4, "weight_decay": 0.0, "params": [3]},
        ]
        self.optim_wrapper = SimpleNamespace(param_groups=groups)
        self.param_schedulers = [
            SimpleNamespace(end=1500),  # a warm-up
            SimpleNamespace(end=schedule_end, eta_min=0.0),
        ]
        self.max_iters = 40_000
        self.work_dir = work_dir
        self.logger = Log()


def summary(runner):
    """The log of the start of a training, as (level, text)."""
    hook = RunSummaryHook()
    hook.before_run(runner)
    hook.before_train(runner)
    return runner.logger.lines


def rows(runner):
    """The cells of the class table below its head."""
    (text,) = [t for _, t in summary(runner) if t.startswith("classes of the training data")]
    lines = [line for line in text.splitlines() if line.startswith("|") and "--" not in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_table_leads_from_file_value_to_train_id_class_colour_and_weight():
    assert rows(Runner()) == [
        ["0", "0", "field", "#fab43c", "1"],
        ["1", "1", "wood", "#006400", "1"],
        ["2", "2", "water", "#0000ff", "1"],
    ]


def test_table_shifts_file_values_where_the_zero_label_is_reduced():
    runner = Runner({**META, "reduce_zero_label": True})
    assert [row[:3] for row in rows(runner)] == [
        *(["1", "0", "field"], ["2", "1", "wood"], ["3", "2", "water"]),
    ]


@pytest.mark.parametrize(("reduced", "ignored"), [(False, "255"), (True, "0, 255")])
def test_table_names_the_ignored_file_values(reduced, ignored):
    lines = summary(Runner({**META, "reduce_zero_label": reduced}))
    assert any(text.endswith(f"ignored mask values: {ignored}") for _, text in lines)


def test_table_shows_the_weights_of_the_loss():
    weights = [row[4] for row in rows(Runner(weight=[0.5, 9.157, 0.8525]))]
    assert weights == ["0.5", "9.157", "0.8525"]


def batch_line(runner):
    (line,) = [(level, t) for level, t in summary(runner) if t.startswith("effective batch")]
    return line


@pytest.mark.parametrize(
    ("per_process", "processes", "accumulated"), [(16, 1, 1), (8, 2, 1), (2, 2, 4)]
)
def test_batch_of_the_recipe_is_logged_with_its_factors(per_process, processes, accumulated):
    runner = Runner()
    runner.train_dataloader.batch_size = per_process
    runner.world_size = processes
    runner.cfg = {"optim_wrapper": {"accumulative_counts": accumulated}}
    assert batch_line(runner) == (
        "info",
        f"effective batch 16 = {per_process} images x {processes} processes x {accumulated} "
        "accumulated steps",
    )


@pytest.mark.parametrize(("per_process", "processes"), [(8, 1), (8, 8)])
def test_another_batch_is_a_warning(per_process, processes):
    runner = Runner()
    runner.train_dataloader.batch_size, runner.world_size = per_process, processes
    level, text = batch_line(runner)
    assert level == "warning"
    assert text.startswith(f"effective batch {per_process * processes} = ")
    assert "the recipe's is 16" in text


def test_groups_of_the_optimiser_are_logged():
    lines = [text for _, text in summary(Runner())]
    assert (
        "optimiser: 2 tensors with lr 6e-05 and decay 0.01; "
        "1 tensors with lr 0.0006 and decay 0" in lines
    )


@pytest.mark.parametrize("when", ["before_train", "before_val", "before_test"])
def test_number_of_classes_that_does_not_fit_the_data_is_refused(when):
    runner = Runner(num_classes=150)
    hook = RunSummaryHook()
    hook.before_run(runner)
    with pytest.raises(UserError, match=r"num_classes=150, but the data set has 3 classes: set"):
        getattr(hook, when)(runner)


def test_predictions_of_one_name_are_refused_before_the_first(tmp_path):
    runner = Runner()
    paths = ["/data/a/1.png", "/data/b/1.png"]
    runner.test_dataloader.dataset = Images(paths)
    hook = RunSummaryHook()
    hook.before_run(runner)
    for folder in (None, str(tmp_path)):
        runner.test_evaluator = SimpleNamespace(metrics=[IoUMetric(output_dir=folder)])
        with nullcontext() if folder is None else pytest.raises(UserError, match="would both be"):
            hook.before_test(runner)


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
    hook = RunSummaryHook()
    hook.before_run(runner)
    assert hook.network is inner


@pytest.mark.parametrize(
    ("end", "fault"),
    [
        (20_000, "has fallen to its end at iteration 20000 of 40000"),
        (39_999, "has fallen to its end at iteration 39999 of 40000"),
        (40_000, None),
        (40_001, None),
        (40_002, "would fall until iteration 40002, the training ends at 40000"),
    ],
)
def test_a_learning_rate_that_ends_at_another_time_than_the_training_is_a_warning(end, fault):
    lines = [line for line in summary(Runner(schedule_end=end)) if "learning rate" in line[1]]
    cure = "set the `end` of param_scheduler to 40000"
    assert lines == ([("warning", f"the learning rate {fault}: {cure}")] if fault else [])


def test_parts_of_a_batch_are_told():
    runner = Runner()
    runner.train_loop.accumulate = 4
    level, text = batch_line(runner)
    assert level == "info" and text.startswith("effective batch 16 = 16 images x 1 processes")
    assert text.endswith("; each process computes its images in 4 parts")


def test_a_run_that_goes_on_is_not_told_to_change_its_schedule():
    runner = Runner(schedule_end=20_000)
    runner._resume = True
    (line,) = [text for _, text in summary(runner) if "has fallen" in text]
    assert line.endswith("of 40000: for another schedule start from the checkpoint by --load-from")


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
