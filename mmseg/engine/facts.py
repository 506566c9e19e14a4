"""What decides the values of a training step, as a checkpoint stores it, and the comparison."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg.compat.names import REPLACED
from mmseg.config.parts import leaves
from mmseg.errors import UserError

# The key of the facts in a checkpoint's metadata.
FACTS = "training"
DECIDING = ("model", "train_dataloader", "optim_wrapper", "param_scheduler", "custom_hooks")
# Keys below these sections that decide nothing: where files are, how they are loaded, and weights
# that the checkpoint replaces.
FREE = {
    *("data_root", "init_cfg", "backend_args", "num_workers", "persistent_workers", "pin_memory"),
    *("prefetch_factor", "timeout", "on_bad_sample", "max_bad_share", "cache_in_memory"),
    "test_cfg",
}
OWN_NAMES = {theirs: own for own, theirs in REPLACED.items()}
SHOWN = 8


def training_facts(config: Config, processes: int) -> dict[str, Any]:
    """Return what a checkpoint stores of the training it belongs to: plain nested values."""
    facts = {key: config.get(key) for key in DECIDING if config.get(key)}
    randomness = config.get("randomness") or {}
    facts["seed"] = randomness.get("seed")
    if randomness.get("diff_rank_seed"):
        facts["diff_rank_seed"] = True
    if (parts := (config.get("train_cfg") or {}).get("accumulate", 1)) > 1:
        facts["accumulate"] = parts
    facts["processes"] = processes
    return json.loads(json.dumps(facts, default=str))


def check_same_training(stored: Mapping, current: Mapping, path: str | Path) -> None:
    """Raise `UserError` with the differences between two `training_facts`.

    A class has the same value under its own name and under mmengine's name for it.
    """
    before, now = (_comparable(facts) for facts in (stored, current))
    if now.get("seed") is None:
        now["seed"] = before.get("seed")  # the run goes on with the checkpoint's
    differences = [
        f"{key}: {before.get(key, 'not set')} there, {now.get(key, 'not set')} here"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    ]
    if differences:
        more = f"; and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
        raise UserError(
            f"{path}: belongs to another training ({'; '.join(differences[:SHOWN])}{more}); pass "
            "it as --load-from to start from its weights, or use another --work-dir"
        )


def _comparable(facts: Mapping) -> dict[str, Any]:
    return {
        key: OWN_NAMES.get(value, value) if key.endswith((".type", ".constructor")) else value
        for key, value in leaves(facts, skipped=FREE)
    }
