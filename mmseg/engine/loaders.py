"""The one place that decides how samples are loaded: order, collation, workers and memory."""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmseg.engine.sampler import StatelessSampler
from mmseg.errors import UserError
from mmseg.randomness import Seeded
from mmseg.structures import stack_batch

WITHOUT_WORKERS = {"persistent_workers": False, "prefetch_factor": None, "timeout": 0}


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
        options |= WITHOUT_WORKERS  # torch refuses options of workers where there are none
    if trains:
        options = {"collate_fn": stack_batch, **options}
        sampler = options["sampler"]
        if isinstance(sampler, Mapping) and sampler.get("type") == "DefaultSampler":
            kept = {key: sampler[key] for key in ("shuffle", "seed") if key in sampler}
            options["sampler"] = {"type": "StatelessSampler", **kept}
    loader = Runner.build_dataloader(options, seed, diff_rank_seed)
    seeds = isinstance(loader.sampler, StatelessSampler)
    if trains and seeds and not isinstance(loader.dataset, Seeded):
        kind = type(loader.dataset).__name__
        raise UserError(f"train_dataloader.dataset: derive {kind} from BaseSegDataset")
    return loader
