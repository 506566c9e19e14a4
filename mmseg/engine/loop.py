"""mmengine's training loop, with randomness that depends on the iteration alone."""

from collections.abc import Sequence
from typing import Any

from mmengine.runner import IterBasedTrainLoop

from mmseg.randomness import seed_all, seed_of
from mmseg.registry import LOOPS


@LOOPS.register_module(name=["SegTrainLoop", "IterBasedTrainLoop"])
class SegTrainLoop(IterBasedTrainLoop):
    """Start each iteration's own draws (drop path, dropout, NMF bases) from a seed of its own."""

    def run_iter(self, data_batch: Sequence[Any]) -> None:
        seed_all(seed_of(self.runner.seed, "model", self.runner.rank, self._iter))
        super().run_iter(data_batch)

    @property
    def validates_now(self) -> bool:
        """Whether a validation belongs to the iterations done so far."""
        self._decide_current_val_interval()
        return (
            self.runner.val_loop is not None
            and self._iter >= max(self.val_begin, 1)
            and (self._iter % self.val_interval == 0 or self._iter == self._max_iters)
        )
