"""Count the samples that cannot be read, and end a training that has too many of them."""

import torch
from mmengine.logging import MMLogger

from mmseg.errors import UserError


class BadSamples:
    """Count the bad samples of a data set, each once, over all its loader workers.

    A training goes on until more than `max_share` of the `size` samples are bad.
    """

    def __init__(self, size: int, max_share: float) -> None:
        self.max_share = max_share
        # All workers of a loader write into this memory, forked and spawned ones.
        self.found = torch.zeros(size, dtype=torch.bool).share_memory_()

    def add(self, index: int, error: UserError) -> None:
        """Log a bad sample if it is new; raise `UserError` if there are too many."""
        if self.found[index]:
            return
        self.found[index] = True
        MMLogger.get_current_instance().warning(f"{error}; another sample takes its place")
        count, size = int(self.found.sum()), len(self.found)
        if count > self.max_share * size:
            raise UserError(
                f"{count} of {size} samples are bad, more than max_bad_share={self.max_share}; "
                f"the last one: {error}"
            )
