"""The order of the training samples, as a pure function of the seed."""

import itertools
from collections.abc import Iterator, Sized
from functools import lru_cache

import torch
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from mmseg.compat.names import registered_names
from mmseg.randomness import Draw, seed_of
from mmseg.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module(name=registered_names("StatelessSampler"))
class StatelessSampler(Sampler):
    """Pass over a data set again and again, each time in another order.

    The processes share one stream of draws. Draw number p is sample `order(p // size)[p % size]`
    with a seed of its own. A stream can therefore begin anywhere, and no past data is read.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None) -> None:
        self.rank, self.world_size = get_dist_info()
        self.size = len(dataset)
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self.start = 0

    def skip(self, num_samples: int) -> None:
        """Begin after `num_samples` of this process; the training loop calls it to resume."""
        self.start = num_samples

    def __iter__(self) -> Iterator[Draw]:
        for number in itertools.count(self.start):
            position = number * self.world_size + self.rank
            epoch, place = divmod(position, self.size)
            order = _order(self.size, self.seed, epoch) if self.shuffle else range(self.size)
            yield Draw(order[place], seed_of(self.seed, "sample", position))

    def __len__(self) -> int:
        return self.size


@lru_cache(maxsize=2)
def _order(size: int, seed: int, epoch: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed_of(seed, "order", epoch))
    return torch.randperm(size, generator=generator).tolist()
