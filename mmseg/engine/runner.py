"""mmengine's runner with strict weights, whole checkpoints and exact resuming."""

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.logging import MMLogger
from mmengine.runner import BaseLoop, Runner
from torch.utils.data import DataLoader

from mmseg.checkpoints.dialects import class_names, model_facts
from mmseg.checkpoints.files import check_written
from mmseg.checkpoints.loading import load_model_weights, unwrap, warn_of_other_classes
from mmseg.config import translate_config
from mmseg.engine.compile import FuseHook, compile_network, take_exported
from mmseg.engine.loaders import build_loader
from mmseg.engine.preemption import PreemptionHook
from mmseg.engine.prepare import check_complete, default_work_dir, prepare_process
from mmseg.engine.resume import FACTS, SAMPLER_SEED, restore, training_facts, where_to_start
from mmseg.engine.run_summary import run_result
from mmseg.engine.visualization import SegVisualizationHook
from mmseg.errors import UserError, reason
from mmseg.export.loading import is_exported
from mmseg.files import make_writable, remove_unfinished, sole_process, whole_file, write_whole
from mmseg.ops.device import by_default
from mmseg.registry import RUNNERS

# Lines that mmengine logs about itself and that no user can act on.
NOISE = (
    *("paramwise_options --", "The prefix is not set in metric", '"FileClient" will be deprecated'),
    *('"HardDiskBackend" is the alias', "Hooks will be executed in the following order"),
    *("Resumed iteration number is not divisible", "Gradient accumulative may slightly decrease"),
    *("Distributed training is not used, all SyncBatchNorm", "Config:\n"),  # it has its own file
)
# The messages of torch.distributed's backends about a connection that broke.
LOST_PROCESS = re.compile(r"gloo|NCCL|[Cc]onnection (closed|reset)")
WRAPPER = "MMDistributedDataParallel"
ARGUMENTS = set(inspect.signature(Runner.__init__).parameters) - {"self", "cfg"}


@RUNNERS.register_module()
class SegRunner(Runner):
    """The runner of `tools/train.py` and `tools/test.py`."""

    # mmengine's does not check a config, and finds out too late from where a run starts.
    @classmethod
    def from_cfg(cls, cfg: Config | Mapping) -> "SegRunner":
        """Build the runner of a config of any dialect, and check it again: keys may have changed.

        Without a `work_dir` the run goes to work_dirs/<name of the config>. `where_to_start` tells
        how `resume`, `resume_from_work_dir` and `load_from` go together.
        """
        # mmengine formats the text of a config again for each log, file and checkpoint, which takes
        # half a second. The text is as readable without.
        name = getattr(cfg, "filename", None)
        config = Config(translate_config(cfg).to_dict(), filename=name, format_python_code=False)
        if config.get("work_dir") is None:
            config.work_dir = default_work_dir(config.filename or "run.py")
        wrapper = config.get("model_wrapper_cfg") or {}
        if wrapper.get("type", WRAPPER) == WRAPPER:
            # Without device_ids it wraps a model on any device; mmengine's default names a GPU.
            own = {"type": WRAPPER, "broadcast_buffers": False, "device_ids": None}
            own["find_unused_parameters"] = config.get("find_unused_parameters", False)
            config.model_wrapper_cfg = {**own, **wrapper}
        check_complete(config)
        make_writable(config.work_dir)
        prepare_process(config)
        if not torch.cuda.is_available():
            config.sync_bn = None  # torch's synchronised batch norm needs GPUs
        resume, load_from, warnings = where_to_start(config)
        arguments = {key: config[key] for key in ARGUMENTS if key in config}
        arguments |= {"resume": resume, "load_from": load_from}
        if train := dict(arguments.get("train_cfg") or {}):
            if "type" not in train:  # mmengine's `by_epoch` stands for its own loops
                train.pop("by_epoch", None)
            arguments["train_cfg"] = {"type": "SegTrainLoop", **train}
            # The wrapper of mmengine steps once for so many backward passes.
            counts = config.optim_wrapper.get("accumulative_counts", 1) * train.get("accumulate", 1)
            if counts > 1:
                arguments["optim_wrapper"] = {**config.optim_wrapper, "accumulative_counts": counts}
        try:
            runner = cls(**arguments, cfg=config)
        except ImportError as error:  # of a tracker such as WandbVisBackend
            what = f"{config.filename}: a part needs a package ({reason(error)})"
            raise UserError(what) from error
        for line in warnings:
            runner.logger.warning(line)
        return runner

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.cfg.get("compile", by_default("compile")):
            self.register_hook(FuseHook())
        if not any(isinstance(hook, SegVisualizationHook) for hook in self.hooks):
            self.register_hook(SegVisualizationHook())

    # mmengine's also writes the config of a test, and over a file that was written by hand.
    @master_only
    def dump_config(self) -> None:
        """Write the merged config of a training beside its checkpoints."""
        file = Path(self.cfg.filename or f"{self.timestamp}.py")
        trains = self.cfg.get("train_cfg") is not None
        if trains and file.resolve().parent != Path(self.work_dir).resolve():
            write_whole(Path(self.work_dir, file.name), self.cfg.pretty_text.encode())

    # mmengine's logs lines about itself.
    def build_logger(self, *args: object, **kwargs: object) -> MMLogger:
        logger = super().build_logger(*args, **kwargs)
        logger.addFilter(lambda record: not record.getMessage().startswith(NOISE))
        return logger

    # mmengine's knows nothing of pinned memory, and passes on options that torch refuses.
    @staticmethod
    def build_dataloader(
        dataloader: Any, seed: int | None = None, diff_rank_seed: bool = False
    ) -> DataLoader:
        return build_loader(dataloader, seed, diff_rank_seed)

    # mmengine's would compile a whole training step, whose logging cannot be compiled.
    def _maybe_compile(self, target: str) -> None:
        if self.cfg.get("compile", by_default("compile")):
            accumulates = self.optim_wrapper._accumulative_counts > 1
            compile_network(self.model, trains=True, accumulates=accumulates)
            self.logger.info("the first iteration compiles the network: this takes minutes")

    # mmengine's loads the tensors that fit, and keeps silent about those that are missing.
    def load_checkpoint(self, filename: str, *args: object, **kwargs: object) -> dict:
        """Load the weights of `load_from`, all of them; see `load_model_weights`.

        `load_cfg` of the config holds its `new_classes` and `nmf_rank`.
        """
        options = self.cfg.get("load_cfg") or {}
        if is_exported(filename):
            checkpoint = take_exported(self, filename)
        else:
            checkpoint = load_model_weights(self.model, filename, **options)
        loops = (self._train_loop, self._val_loop, self._test_loop)
        loop = next((each for each in loops if isinstance(each, BaseLoop)), None)
        if loop and not options.get("new_classes"):
            classes = loop.dataloader.dataset.metainfo["classes"]
            warn_of_other_classes(class_names(checkpoint)[0], filename, classes, "the data set")
        state = unwrap(self.model).state_dict()
        self.call_hook("after_load_checkpoint", checkpoint={"state_dict": state})
        return checkpoint

    # mmengine's runs the text of a stored config, and starts afresh with what a file lacks.
    def resume(self, filename: str, *args: object, **kwargs: object) -> None:
        """Go on from a checkpoint of the same training as if it had never been interrupted."""
        restore(self, filename)

    # mmengine's writes a file that may be cut, and nothing that tells one training from another.
    @master_only
    def save_checkpoint(
        self, out_dir: str, filename: str, *args: Any, meta: dict | None = None, **kwargs: Any
    ) -> None:
        """Save the state of the run and the facts of model and training as one whole file."""
        facts = training_facts(self.cfg, self.world_size)
        seed = getattr(self.train_dataloader.sampler, "seed", None)
        meta = {**(meta or {}), **model_facts(unwrap(self.model)), FACTS: facts, SAMPLER_SEED: seed}
        with whole_file(Path(out_dir, filename), durable=True) as part:
            super().save_checkpoint(str(part.parent), part.name, *args, meta=meta, **kwargs)
            check_written(part)

    # mmengine's loads ImageNet weights, which need not be there to go on from a checkpoint.
    def _init_model_weights(self) -> None:
        if not self._resume:
            super()._init_model_weights()

    # mmengine's neither holds the work directory nor hears signals.
    def train(self) -> dict[str, Any]:
        """Train, alone in the work directory; return how it ended.

        `last` are the scores of the last validation, `best` the best score of each name that
        `save_best` has, `best_checkpoint` and `checkpoint` the paths of the best and last weights.
        What there is none of is None.
        """
        if self.world_size > 1 and not torch.cuda.is_available():
            self.logger.warning(
                f"{self.world_size} processes without GPUs: each has batch norm statistics of its "
                "own images alone; the first process's are saved"
            )
        self.register_hook(preemption := PreemptionHook())
        try:
            with sole_process(self.work_dir, "trains in this work directory", "--work-dir"):
                remove_unfinished(self.work_dir, ".pth")
                super().train()
                return run_result(self)
        except RuntimeError as error:
            if not (self.distributed and LOST_PROCESS.search(str(error))):
                raise
            raise UserError(
                f"iteration {self.iter + 1}: another process of this run has ended or cannot be "
                "reached; start all of them again with --resume"
            ) from error
        finally:
            preemption.restore()
