"""From which checkpoint a run starts, and how it goes on from one of the same training."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from mmseg.checkpoints.dialects import metadata
from mmseg.checkpoints.files import read_checkpoint
from mmseg.checkpoints.loading import load_model_weights, unwrap
from mmseg.compat import REPLACED
from mmseg.config.parts import leaves
from mmseg.engine.loaders import StatelessSampler
from mmseg.engine.optimiser import merge_stored_groups
from mmseg.errors import UserError

LATEST = "latest.pth"
NUMBERED = re.compile(r"iter_(\d+)\.pth")
# The seed of the order of the samples, in a checkpoint's metadata: that of the run or, with
# `diff_rank_seed`, another that all processes share, or the sampler's own.
SAMPLER_SEED = "sampler_seed"
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
IN_PIPELINE = re.compile(r"\.pipeline\[.*\.(reduce_zero_label)$")
OWN_NAMES = {theirs: own for own, theirs in REPLACED.items()}
SHOWN = 8


def where_to_start(config: Config) -> tuple[bool, str | None, list[str]]:
    """Return the final `resume` and `load_from` of a run, and warnings about how they were found.

    `resume_from_work_dir=True` goes on from the newest whole checkpoint of the work directory. If
    there is none, the run starts as without this key. `resume=True` goes on from `load_from`; if
    that is not given, it is the same as `resume_from_work_dir=True`. Without both keys, the run
    starts from the weights of `load_from`, if any. A run that does not train goes on from nothing.
    """
    given, load_from = config.get("resume", False), config.get("load_from")
    if config.get("train_cfg") is None:
        return False, load_from, []
    if not config.get("resume_from_work_dir") and (load_from or not given):
        return bool(given), load_from, []
    newest, warnings = newest_whole(config.work_dir)
    if newest:
        return True, str(newest), warnings
    start = f"from {load_from}" if load_from else "fresh"
    warnings.append(f"no checkpoint in {config.work_dir}: training starts {start}")
    return False, load_from, warnings


def numbered(folder: str | Path) -> list[tuple[int, Path]]:
    """List the checkpoints of a work directory with their numbers, the highest first."""
    found = [(NUMBERED.fullmatch(path.name), path) for path in Path(folder).glob("*.pth")]
    return sorted(((int(match[1]), path) for match, path in found if match), reverse=True)


def newest_whole(folder: str | Path) -> tuple[Path | None, list[str]]:
    """Return the checkpoint to go on from, and a warning for each damaged one.

    It is the one that `latest.pth` links to, or the whole one before it. Files of a higher number
    belong to another run.
    """
    files, latest = [path for _, path in numbered(folder)], Path(folder, LATEST)
    linked = [i for i, path in enumerate(files) if latest.exists() and path.samefile(latest)]
    warnings: list[str] = []
    for path in files[linked[0] if linked else 0 :]:
        try:
            read_checkpoint(path)
        except UserError as error:
            warnings.append(f"{error}; the checkpoint before it is tried")
        else:
            return path, warnings
    return None, warnings


def training_facts(config: Config, processes: int) -> dict[str, Any]:
    """Return what a checkpoint stores of the training it belongs to: plain nested values."""
    facts = {key: config.get(key) for key in DECIDING if config.get(key)}
    randomness = config.get("randomness") or {}
    facts |= {"seed": randomness.get("seed"), "processes": processes}
    if randomness.get("diff_rank_seed"):
        facts["diff_rank_seed"] = True
    if (parts := (config.get("train_cfg") or {}).get("accumulate", 1)) > 1:
        facts["accumulate"] = parts
    return json.loads(json.dumps(facts, default=str))


def check_same_training(stored: Mapping, current: Mapping, path: str | Path) -> None:
    """Raise `UserError` with the differences between two `training_facts`."""
    before, now = _comparable(stored), _comparable(current)
    if now.get("seed") is None:
        now["seed"] = before.get("seed")  # the run goes on with the checkpoint's
    different = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
    if different:
        told = [
            f"{key}: {before.get(key, 'not set')} there, {now.get(key, 'not set')} here"
            for key in different[:SHOWN]
        ]
        more = f"; and {len(different) - SHOWN} more" if len(different) > SHOWN else ""
        raise UserError(
            f"{path}: belongs to another training ({'; '.join(told)}{more}); pass it as "
            "--load-from to start from its weights, or use another --work-dir"
        )


def _comparable(facts: Mapping) -> dict[str, Any]:
    # A class is the same under its own name and under mmengine's name for it. What a pipeline says
    # of the label 0 holds for the data set, where earlier versions wrote it.
    found = {IN_PIPELINE.sub(r".\1", key): value for key, value in leaves(facts, skipped=FREE)}
    names = [key for key in found if key.endswith((".type", ".constructor"))]
    return found | {key: OWN_NAMES.get(found[key], found[key]) for key in names}


def restore(runner: Runner, path: str) -> None:
    """Put a run into the state of a checkpoint of the same training.

    Raises `UserError` if it is of another training, or if it lacks a part.
    """
    checkpoint = read_checkpoint(path)
    meta = metadata(checkpoint)
    if stored := meta.get(FACTS):
        check_same_training(stored, training_facts(runner.cfg, runner.world_size), path)
    schedulers = runner.param_schedulers or []
    parts = ("optimizer", *(["param_schedulers"] if schedulers else ()), "message_hub")
    lacking = [part for part in parts if part not in checkpoint]
    if lacking or "iter" not in meta:
        raise UserError(
            f"{path}: cannot be resumed, it holds no {(lacking or ['iter'])[0]!r}; pass it as "
            "--load-from to start from its weights"
        )
    rank = (runner.cfg.get("load_cfg") or {}).get("nmf_rank")
    load_model_weights(runner.model, path, nmf_rank=rank, checkpoint=checkpoint)
    network, optimiser = unwrap(runner.model), runner.optim_wrapper.optimizer
    # With averaged weights, those are the `state_dict`; mmengine's hook exchanges the two.
    runner.call_hook("after_load_checkpoint", checkpoint=checkpoint)
    network.load_state_dict(checkpoint["state_dict"], strict=False)
    merge_stored_groups(checkpoint["optimizer"], optimiser, network)
    runner.optim_wrapper.load_state_dict(checkpoint["optimizer"])
    for scheduler, stored in zip(schedulers, checkpoint.get("param_schedulers", ()), strict=False):
        scheduler.load_state_dict(stored)
    runner.message_hub.load_state_dict(checkpoint["message_hub"])
    if meta.get("seed") is not None:  # the checkpoint's, when the config has none
        runner.set_randomness(**{**(runner.cfg.get("randomness") or {}), "seed": meta["seed"]})
    sampler = runner.train_dataloader.sampler
    if isinstance(sampler, StatelessSampler):
        sampler.seed = meta.get(SAMPLER_SEED, runner.seed)
    runner.train_loop.iter = meta["iter"]
    runner.logger.info(f"resumed epoch: 0, iter: {meta['iter']}, from {path}")
    check_schedule_goes_on(runner, path)


def check_schedule_goes_on(runner: Runner, path: str) -> None:
    """Refuse a longer run whose schedule ends, by default, where the shorter one ended."""
    given = runner.cfg.get("param_scheduler") or ()
    configs = [given] if isinstance(given, Mapping) else given
    pairs = zip(configs, runner.param_schedulers or (), strict=False)
    for i, (config, scheduler) in enumerate(pairs):
        if "end" not in config and scheduler.end < runner.max_iters:
            raise UserError(
                f"{path}: its learning rate ends at iteration {scheduler.end}, since "
                f"param_scheduler[{i}] has no `end`: to train on, pass it as --load-from, and "
                "give the schedule an `end`"
            )
