"""mmengine's runner with strict weights and process groups that also run on CPUs."""

import logging
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.logging import MMLogger
from mmengine.runner import BaseLoop, Runner
from torch import nn
from torch.distributed import PrefixStore
from torch.utils.data import DataLoader

from mmseg import ops
from mmseg.checkpoints.dialects import class_names, metadata, model_facts
from mmseg.checkpoints.files import read_checkpoint
from mmseg.checkpoints.loading import load_model_weights, unwrap, warn_of_other_classes
from mmseg.checkpoints.seal import seal
from mmseg.engine.accumulation import accumulated_parts
from mmseg.engine.compile import compile_training
from mmseg.engine.optimiser import merge_stored_groups
from mmseg.engine.preemption import PreemptionHook
from mmseg.engine.resume import (
    FACTS,
    FROM_WORK_DIR,
    check_same_training,
    newest_whole,
    training_facts,
)
from mmseg.engine.run_config import RunConfig, check_complete, default_work_dir
from mmseg.engine.sampler import StatelessSampler
from mmseg.environment import hide_broken_torchvision
from mmseg.errors import UserError
from mmseg.files import make_writable, remove_unfinished, whole_file
from mmseg.lock import sole_process
from mmseg.randomness import Seeded
from mmseg.registry import RUNNERS

# What mmengine logs about itself and no user can act on. The optimiser's groups, which it lists
# parameter by parameter, are in the summary.
NOISE = (
    *("paramwise_options --", "The prefix is not set in metric", '"FileClient" will be deprecated'),
    *('"HardDiskBackend" is the alias', "Hooks will be executed in the following order"),
    "Advance dataloader",
    "Distributed training is not used, all SyncBatchNorm",
)

# Warnings that no user can act on: mmengine's of a name for which not every torch has the new one,
# and torch's of gradients that lie otherwise than their parameter in dimensions of size 1.
FOREIGN_WARNINGS = (
    *("Setting MKL_NUM_THREADS environment variable", "`broadcast_buffers` is deprecated"),
    "Grad strides do not match bucket view strides",
)

# The seed of the order of the samples, in a checkpoint's metadata: that of the run or, with
# `diff_rank_seed`, another that all processes share, or the sampler's own.
SAMPLER_SEED = "sampler_seed"

# What the backends of torch.distributed say of a connection that broke.
LOST_PROCESS = re.compile(r"gloo|NCCL|[Cc]onnection (closed|reset)")


@RUNNERS.register_module()
class SegRunner(Runner):
    """The runner of `tools/train.py` and `tools/test.py`."""

    _resume: bool | str
    _load_from: str | None

    @classmethod
    def from_cfg(cls, cfg: Config | Mapping) -> "SegRunner":
        """Build the runner of a config, after the checks of `load_config`: keys may have changed.

        Without a `work_dir` the run goes to work_dirs/<name of the config>.
        """
        from mmseg.config.check import check_config  # whose tables name what is in this package

        config = RunConfig(cfg if isinstance(cfg, Config) else Config(dict(cfg)))
        if config.get("work_dir") is None:
            config.work_dir = default_work_dir(config.filename or "run.py")
        check_config(config, str(config.filename or "the config"))
        check_complete(config)
        make_writable(config.work_dir)
        if not torch.cuda.is_available():
            # torch's synchronised batch norm needs GPUs; on CPUs our BatchNorm2d does its work.
            config.sync_bn = None
        return super().from_cfg(config)

    def setup_env(self, env_cfg: dict) -> None:
        for start in FOREIGN_WARNINGS:
            warnings.filterwarnings("ignore", message=start)
        # mmengine's own set-up selects a CUDA device, also where there is none.
        on_cpu = not torch.cuda.is_available()
        if on_cpu and self.distributed and not torch.distributed.is_initialized():
            _join_on_cpu(self._launcher)
        super().setup_env(env_cfg)
        ops.enable(self.cfg.get("fast_ops", True))

    def set_randomness(self, *args: Any, deterministic: bool = False, **kwargs: Any) -> None:
        if deterministic:  # of cuBLAS, too; torch may refuse to multiply without
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        super().set_randomness(*args, deterministic=deterministic, **kwargs)

    def dump_config(self) -> None:
        # Beside the checkpoints lies the merged config of their training, not that of a later test,
        # nor in the place of the file that was written by hand.
        written = Path(self.cfg.filename or "").resolve().parent
        if self._train_dataloader is not None and written != Path(self.work_dir).resolve():
            super().dump_config()

    def build_logger(self, *args: object, **kwargs: object) -> MMLogger:
        logger = super().build_logger(*args, **kwargs)
        logger.addFilter(_not_noise)
        return logger

    @staticmethod
    def build_dataloader(dataloader: Any, *args: Any, **kwargs: Any) -> DataLoader:
        """Build a loader of what copies to a GPU fast, if there is one."""
        if isinstance(dataloader, dict):
            dataloader = {"pin_memory": torch.cuda.is_available(), **dataloader}
            if dataloader.get("num_workers", 0) == 0:  # options of workers, which torch refuses
                dataloader |= {"persistent_workers": False, "prefetch_factor": None, "timeout": 0}
        return Runner.build_dataloader(dataloader, *args, **kwargs)

    def build_train_loop(self, loop: Any) -> BaseLoop:
        built = super().build_train_loop(loop)
        loader = built.dataloader
        if isinstance(loader.sampler, StatelessSampler) and not isinstance(loader.dataset, Seeded):
            kind = type(loader.dataset).__name__
            raise UserError(f"train_dataloader.dataset: derive {kind} from BaseSegDataset")
        return built

    def _maybe_compile(self, target: str) -> None:
        # mmengine would compile all of a training step, whose logging cannot be.
        choice = self.cfg.get("compile", False)
        if not isinstance(choice, bool):
            raise UserError(f"compile={choice}: True or False")
        if choice:
            compile_training(self.model, accumulates=accumulated_parts(self) > 1)
            self.logger.info("the first iteration compiles the network: this takes minutes")

    def _log_env(self, env_cfg: dict) -> None:
        hide_broken_torchvision()
        super()._log_env(env_cfg)

    def load_checkpoint(self, filename: str, *args: object, **kwargs: object) -> dict:
        """Load the weights of `load_from`, all of them; see `load_model_weights`.

        `load_cfg` of the config holds its `new_classes` and `nmf_rank`.
        """
        options = dict(self.cfg.get("load_cfg") or {})
        if self._resume:  # of the same classes, whatever the run's first weights were of
            options.pop("new_classes", None)
        checkpoint = load_model_weights(self.model, filename, **options)
        if not (self._resume or options.get("new_classes")):
            self._compare_classes(checkpoint, filename)
        # mmengine would run the text of a config that mmcv 1.x stored as Python.
        checkpoint["meta"] = {k: v for k, v in metadata(checkpoint).items() if k != "config"}
        network = unwrap(self.model)
        if not self._resume:
            self.call_hook("after_load_checkpoint", checkpoint={"state_dict": network.state_dict()})
            return checkpoint
        if "optimizer" in checkpoint:
            optimiser = self.optim_wrapper.optimizer
            merge_stored_groups(checkpoint["optimizer"], optimiser, network)
        # With averaged weights, those are the `state_dict`; mmengine's hook gives back the others.
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        network.load_state_dict(checkpoint["state_dict"], strict=False)
        return checkpoint

    def _compare_classes(self, checkpoint: dict, path: str) -> None:
        stored = class_names(checkpoint)
        for loop in (self._train_loop, self._val_loop, self._test_loop):
            if stored and isinstance(loop, BaseLoop):
                classes = loop.dataloader.dataset.metainfo["classes"]
                warn_of_other_classes(stored[0], path, classes, "the data set")
                return

    def train(self) -> nn.Module:
        """Train, alone in the work directory."""
        preemption = PreemptionHook()
        self.register_hook(preemption)
        try:
            with sole_process(self.work_dir, "trains in this work directory", "--work-dir"):
                remove_unfinished(self.work_dir, ".pth")
                return super().train()
        except RuntimeError as error:
            if not (self.distributed and LOST_PROCESS.search(str(error))):
                raise
            raise UserError(
                f"iteration {self.iter + 1}: another process of this run has ended or cannot be "
                "reached; start all of them again with --resume"
            ) from error
        finally:
            preemption.restore()

    def _init_model_weights(self) -> None:
        # A checkpoint to go on from holds all weights: those of ImageNet need not be there.
        if self._resume == FROM_WORK_DIR or (self._resume and self._load_from is None):
            newest = newest_whole(self.work_dir)
            if newest is None:
                start = f"from {self._load_from}" if self._load_from else "fresh"
                self.logger.warning(f"no checkpoint in {self.work_dir}: training starts {start}")
            self._resume = newest is not None
            self._load_from = str(newest) if newest else self._load_from
        if not self._resume:
            super()._init_model_weights()

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Go on from a checkpoint of the same training as if it had never been interrupted."""
        checkpoint = read_checkpoint(filename)
        stored = metadata(checkpoint).get(FACTS)
        if stored:
            check_same_training(stored, self._facts(), filename)
        try:
            # For what is lacking mmengine would take a fresh one.
            for part in ("optimizer", *(["param_schedulers"] if self.param_schedulers else ())):
                if part not in checkpoint:
                    raise KeyError(part)
            super().resume(filename, *args, **kwargs)
        except KeyError as error:
            raise UserError(
                f"{filename}: cannot be resumed, it holds no {error}; pass it as --load-from to "
                "start from its weights"
            ) from error
        self._check_schedule_goes_on(filename)
        # The checkpoint's, when the config has none.
        seed = metadata(checkpoint).get(SAMPLER_SEED, self.seed)
        self.train_dataloader.sampler.seed = seed

    def _check_schedule_goes_on(self, path: str) -> None:
        """Refuse a longer run whose schedule ends, by default, where the shorter one ended."""
        given = self.cfg.get("param_scheduler") or []
        schedulers = self.param_schedulers
        for i, (config, scheduler) in enumerate(
            zip([given] if isinstance(given, dict) else given, schedulers or (), strict=False)
        ):
            if "end" not in config and scheduler.end < self.max_iters:
                raise UserError(
                    f"{path}: its learning rate ends at iteration {scheduler.end}, since "
                    f"param_scheduler[{i}] has no `end`: to train on, pass it as --load-from, and "
                    "give the schedule an `end`"
                )

    def _facts(self) -> dict[str, Any]:
        return training_facts(self.cfg, self.world_size)

    @master_only
    def save_checkpoint(
        self, out_dir: str, filename: str, *args: Any, meta: dict | None = None, **kwargs: Any
    ) -> None:
        """Save what mmengine does and the facts of model and training, as a whole, sealed file."""
        meta = {**(meta or {}), **model_facts(unwrap(self.model)), FACTS: self._facts()}
        meta[SAMPLER_SEED] = getattr(self.train_dataloader.sampler, "seed", None)
        with whole_file(Path(out_dir, filename), durable=True) as part:
            super().save_checkpoint(str(part.parent), part.name, *args, meta=meta, **kwargs)
            seal(part)


def _join_on_cpu(launcher: str) -> None:
    if launcher != "pytorch":
        raise UserError(f"--launcher {launcher}: needs GPUs; without, start the run by torchrun")
    store, rank, processes = next(torch.distributed.rendezvous("env://"))
    # A launcher that starts a run again may keep its store, in which the addresses of the processes
    # that have ended still are.
    store = PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=processes)


def _not_noise(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(NOISE)
