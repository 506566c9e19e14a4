"""From which checkpoint a run may go on: the newest whole one, of the same training."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import MMLogger

from mmseg.checkpoints.files import read_checkpoint
from mmseg.config.parts import leaves
from mmseg.errors import UserError

LATEST = "latest.pth"
# `resume` of a config that goes on if the run has begun, and else starts as without it. True means
# the same, but with a `load_from` to go on from that one, as in mmengine.
FROM_WORK_DIR = "work_dir"
FACTS = "training"
NUMBERED = re.compile(r"iter_(\d+)\.pth")
# What decides the values of a training step, and below it what does not: where files are and how
# they are loaded, and weights that the checkpoint replaces.
DECIDING = ("model", "train_dataloader", "optim_wrapper", "param_scheduler", "custom_hooks")
FREE = {
    *("data_root", "init_cfg", "backend_args", "num_workers", "persistent_workers", "pin_memory"),
    *("prefetch_factor", "timeout", "on_bad_sample", "max_bad_share", "cache_in_memory"),
    "test_cfg",
}


def numbered(folder: str | Path) -> list[tuple[int, Path]]:
    """List the checkpoints of a work directory with their numbers, the highest first."""
    found = [(NUMBERED.fullmatch(path.name), path) for path in Path(folder).glob("*.pth")]
    return sorted(((int(match[1]), path) for match, path in found if match), reverse=True)


def newest_whole(folder: str | Path) -> Path | None:
    """Return the checkpoint to go on from: the one `latest.pth` names, or the whole one before.

    Each damaged one is a warning. Files of a higher number than the link's belong to another run.
    """
    files = numbered(folder)
    latest = Path(folder, LATEST).resolve().name
    newest = next((number for number, path in files if path.name == latest), None)
    logger = MMLogger.get_current_instance()
    for number, path in files:
        if newest is not None and number > newest:
            continue
        try:
            read_checkpoint(path)
        except UserError as error:
            logger.warning(f"{error}; the checkpoint before it is tried")
        else:
            return path
    return None


def training_facts(config: Config, processes: int) -> dict[str, Any]:
    """Return what a checkpoint stores of the training it belongs to: plain nested values."""
    facts = {key: config.get(key) for key in DECIDING if config.get(key)}
    randomness = config.get("randomness") or {}
    facts["seed"] = randomness.get("seed")
    if randomness.get("diff_rank_seed"):
        facts["diff_rank_seed"] = True
    facts["processes"] = processes
    return json.loads(json.dumps(facts, default=str))


def check_same_training(stored: Mapping, current: Mapping, path: str | Path) -> None:
    """Raise `UserError` with what differs between two `training_facts`."""
    before, now = (dict(leaves(facts, skipped=FREE)) for facts in (stored, current))
    if now.get("seed") is None:
        now["seed"] = before.get("seed")  # the checkpoint's goes on
    differences = [
        f"{key}: {before.get(key, 'not set')} there, {now.get(key, 'not set')} here"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    ]
    if differences:
        more = f"; and {len(differences) - 8} more" if len(differences) > 8 else ""
        raise UserError(
            f"{path}: belongs to another training ({'; '.join(differences[:8])}{more}); pass it "
            "as --load-from to start from its weights, or use another --work-dir"
        )
