"""A whole measurement: check that the sides agree, then let them take turns in every part."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mmengine.config import Config

from mmseg.benchmark.check import check_equal, read_numbers
from mmseg.benchmark.child import Child
from mmseg.benchmark.inputs import write_batch
from mmseg.benchmark.settings import Settings
from mmseg.benchmark.sides import Side
from mmseg.benchmark.statistics import alternate, ratio, spread
from mmseg.benchmark.workers.op_actions import DEPTHWISE, OPERATIONS
from mmseg.registry import MODELS

# Of each part, the worker's actions and what they measure.
PARTS = {
    "infer": {"step": "network", "classes": "network and class map"},
    "train": {"step": "training step", "loop": "training with its loader"},
    "data": {"step": "training sample"},
    "eval": {"image": "evaluation of an image", "metric": "metric of an image"},
}
# Parts that other projects do not have.
OWN_PARTS = {"ops": OPERATIONS, "depthwise": DEPTHWISE}
READ_FILES = {"train", "data", "eval"}
# Seconds before a turn in which the threads of the side before cease to spin for more work.
REST = 0.05
BATCHES = {"infer": (1,), "train": (2,), "data": (1,), "eval": (1,), "ops": (2,), "depthwise": (2,)}


@dataclass(frozen=True)
class Measurement:
    """Several sides under the same settings; `config` is the first side's, `folder` for files."""

    sides: Sequence[Side]
    settings: Settings
    config: Config
    folder: Path

    def check(self) -> dict[str, dict[str, float]]:
        """Return how far each other side's numbers are from the first's; `UserError` if far."""
        inputs = self._write_inputs(2)
        numbers = {}
        for side in self._projects():
            out = str(self.folder / "numbers.pth")
            # Eager: compiling the backward pass too would take minutes.
            with self._start(side, "check", inputs=inputs, out=out, compile=False) as child:
                child.answer()
                child.run("numbers")
            numbers[side.name] = read_numbers(out)
        first, *others = numbers
        return {name: check_equal(numbers[first], numbers[name], name) for name in others}

    def measure(self, part: str, tell: Callable[[str], None]) -> Iterator[dict]:
        """Yield the result of each batch size and action of a part."""
        batches = None if part in ("data", "eval") else self.settings.batches
        # Reading data knows no mixed precision.
        sides = self._projects() if part == "data" else self.sides
        for batch in batches or BATCHES[part]:
            inputs = self._write_inputs(batch)
            with ExitStack() as stack:
                starts = (self._start(s, part, inputs=inputs, batch=batch) for s in sides)
                children = [stack.enter_context(child) for child in starts]
                versions = [child.answer()["versions"] for child in children]
                for action, name in (PARTS | OWN_PARTS)[part].items():
                    tell(f"{name}, batch {batch}")
                    entries = self._take_turns(children, action)
                    for entry, used in zip(entries, versions, strict=True):
                        entry["versions"] = used
                    yield {
                        "part": part,
                        "measured": name,
                        "batch": batch,
                        "sides": entries,
                        "against": [compare(entries[0], other) for other in entries[1:]],
                    }

    def _take_turns(self, children: Sequence[Child], action: str) -> list[dict]:
        before = [child.run("forget peak")["rss_mb"] for child in children]
        turns = [partial(rest_and_run, child, action) for child in children]
        answers = alternate(turns, self.settings.runs, self.settings.warm_up)
        return [
            {"side": child.name, "rss_before_mb": rss, **summary(own)}
            for child, rss, own in zip(children, before, answers, strict=True)
        ]

    def _projects(self) -> list[Side]:
        """Return the sides but those that are another with other switches."""
        return list({side.name: side for side in reversed(self.sides)}.values())[::-1]

    def _write_inputs(self, batch: int) -> str:
        path = self.folder / "inputs.pth"
        model = self.config.model
        classes, rank = (
            min(side.job[key] for side in self.sides) for key in ("num_classes", "nmf_rank")
        )
        # Bases of any rank do: a side that is given some does not make its own.
        bases = (model.decode_head.ham_channels, rank)
        shape = (batch, *self.settings.size)
        write_batch(path, shape, classes, bases, MODELS.build(model.data_preprocessor))
        return str(path)

    def _start(self, side: Side, part: str, **job: object) -> Child:
        # One core is asked for samples per second and core.
        threads = 1 if part == "data" else self.settings.threads
        common = {"part": part, "device": self.settings.device, "threads": threads}
        common |= {"size": self.settings.size}
        environment = {**self.settings.environment(), **side.environment}
        return Child(side.label, side.command, {**side.job, **common, **job}, environment)


def rest_and_run(child: Child, action: str) -> dict:
    """Let a side take its turn on a machine where nothing else runs.

    What takes no second is run twice and the second time counts: the first one finds the caches
    full of the other side's data.
    """
    time.sleep(REST)
    first = child.run(action)
    return first if first["seconds"] > 1 else child.run(action)


def summary(answers: Sequence[dict]) -> dict:
    """Return the times of one unit of work, the peaks, and the share of the time that it waited."""
    seconds = [answer["seconds"] / answer.get("count", 1) for answer in answers]
    found = {"seconds": seconds, **spread(seconds)}
    peaks = {key: max(a[key] for a in answers) for key in answers[0] if key.startswith("peak_")}
    found |= peaks
    if "waited" in answers[0]:
        total = sum(answer["seconds"] for answer in answers)
        found["waiting_share"] = sum(answer["waited"] for answer in answers) / total
    return found


def compare(ours: dict, other: dict) -> dict:
    """Return how many times as fast ours is, run by run, and our peak as a share of the other's."""
    peak = "peak_cuda_mb" if "peak_cuda_mb" in ours else "peak_rss_mb"
    return {
        "side": other["side"],
        "times_as_fast": ratio(other["seconds"], ours["seconds"]),
        "peak_share": ours[peak] / other[peak],
    }
