"""A whole measurement: check that the sides agree, then let them take turns in every part."""

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
from mmseg.benchmark.sides import PEER_RANK, Side
from mmseg.benchmark.statistics import alternate, ratio, spread
from mmseg.registry import MODELS

# Of each part, the worker's actions and what they measure.
PARTS = {
    "infer": {"step": "network"},
    "train": {"step": "training step", "loop": "training with its loader"},
    "data": {"step": "training sample"},
    "eval": {"image": "evaluation of an image", "metric": "metric of an image"},
}
BATCHES = {"infer": (1,), "train": (2,), "data": (1,), "eval": (1,)}


@dataclass(frozen=True)
class Measurement:
    """Several sides under the same settings; `config` is the first side's, `folder` for files."""

    sides: Sequence[Side]
    settings: Settings
    config: Config
    folder: Path

    def check(self) -> dict[str, dict[str, float]]:
        """Return how far each other side's numbers are from the first's; `UserError` if far."""
        rank = {"ham_kwargs": {"MD_R": PEER_RANK}}  # of any rank: all sides get the same bases
        inputs = self._write_inputs(2, rank)
        outputs = []
        for number, side in enumerate(self.sides):
            out = str(self.folder / f"numbers_{number}.pth")
            with self._start(side, "check", inputs=inputs, out=out) as child:
                child.answer()
                child.run("numbers")
            outputs.append(read_numbers(out))
        others = zip(self.sides[1:], outputs[1:], strict=True)
        return {side.label: check_equal(outputs[0], out, side.label) for side, out in others}

    def measure(self, part: str, tell: Callable[[str], None]) -> Iterator[dict]:
        """Yield the result of each batch size and action of a part."""
        batches = self.settings.batches if part in ("infer", "train") else None
        for batch in batches or BATCHES[part]:
            inputs = self._write_inputs(batch)
            with ExitStack() as stack:
                starts = (self._start(s, part, inputs=inputs, batch=batch) for s in self.sides)
                children = [stack.enter_context(child) for child in starts]
                ready = [child.answer() for child in children]
                for action, name in PARTS[part].items():
                    tell(f"{name}, batch {batch}")
                    turns = [partial(child.run, action) for child in children]
                    answers = alternate(turns, self.settings.runs, self.settings.warm_up)
                    entries = [
                        {"side": side.label, "versions": first["versions"], **summary(first, own)}
                        for side, first, own in zip(self.sides, ready, answers, strict=True)
                    ]
                    yield {
                        "part": part,
                        "measured": name,
                        "batch": batch,
                        "sides": entries,
                        "against": [compare(entries[0], other) for other in entries[1:]],
                    }

    def _write_inputs(self, batch: int, head: dict | None = None) -> str:
        path = self.folder / "inputs.pth"
        model = self.config.model
        preprocessor = MODELS.build(model.data_preprocessor)
        head = {**model.decode_head, **(head or {})}
        write_batch(path, batch, self.settings.size, head, preprocessor)
        return str(path)

    def _start(self, side: Side, part: str, **job: object) -> Child:
        # One core is asked for samples per second and core.
        threads = 1 if part == "data" else self.settings.threads
        common = {"part": part, "device": self.settings.device, "threads": threads}
        common |= {"size": self.settings.size}
        environment = {**self.settings.environment(), **side.environment}
        return Child(side.label, side.command, {**side.job, **common, **job}, environment)


def summary(ready: dict, answers: Sequence[dict]) -> dict:
    """Return the times of one unit of work, the peaks, and the share of the time that it waited."""
    seconds = [answer["seconds"] / answer.get("count", 1) for answer in answers]
    found = {"seconds": seconds, **spread(seconds)}
    peaks = {key: max(a[key] for a in answers) for key in answers[0] if key.startswith("peak_")}
    found |= peaks | {"rss_before_mb": ready.get("rss_mb")}
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
