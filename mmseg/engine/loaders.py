"""The one place that decides how samples are loaded: order, collation, workers and memory."""

import itertools
from collections.abc import Iterator, Mapping, Sized
from functools import lru_cache
from typing import Any

import torch
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Sampler

from mmseg.compat import registered_names
from mmseg.errors import UserError
from mmseg.randomness import Draw, Seeded, seed_of
from mmseg.registry import DATA_SAMPLERS
from mmseg.structures import stack_batch


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


def build_loader(
    config: Any, seed: int | None = None, diff_rank_seed: bool = False, trains: bool = False
) -> DataLoader:
    """Build the loader of a config; a loader that is built already is returned as it is.

    A loader copies through pinned memory if there is a GPU. One that trains stacks its batches in
    the workers (`stack_batch`) and draws its samples with a seed each (`StatelessSampler`), if its
    config does not name another collation or sampler. Raises `UserError` for a data set that would
    not use these seeds.
    """
    if not isinstance(config, Mapping):
        return config
    options = {"pin_memory": torch.cuda.is_available(), **config}
    if options.get("num_workers", 0) == 0:
        # torch refuses options of workers where there are none.
        options |= {"persistent_workers": False, "prefetch_factor": None, "timeout": 0}
    if trains:
        options = {"collate_fn": stack_batch, **options}
        sampler = options["sampler"]
        if isinstance(sampler, Mapping) and sampler.get("type") == "DefaultSampler":
            kept = {key: sampler[key] for key in ("shuffle", "seed") if key in sampler}
            options["sampler"] = {"type": "StatelessSampler", **kept}
    loader = Runner.build_dataloader(options, seed, diff_rank_seed)
    seeds = trains and isinstance(loader.sampler, StatelessSampler)
    if seeds and not isinstance(loader.dataset, Seeded):
        kind = type(loader.dataset).__name__
        raise UserError(f"train_dataloader.dataset: derive {kind} from BaseSegDataset")
    return loader
