"""mmengine's training loop, with randomness that depends on the iteration alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from mmengine.runner import IterBasedTrainLoop, Runner

from mmseg.checkpoints.files import write_pickle
from mmseg.checkpoints.loading import unwrap
from mmseg.engine.accumulation import accumulated_parts
from mmseg.errors import NonFiniteLoss, UserError
from mmseg.randomness import seed_all, seed_of
from mmseg.registry import LOOPS
from mmseg.structures import stack_batch


@LOOPS.register_module(name=["SegTrainLoop", "IterBasedTrainLoop"])
class SegTrainLoop(IterBasedTrainLoop):
    """Start each iteration's own draws (drop path, dropout, NMF bases) from a seed of its own.

    Batches are stacked by the loader's workers (`stack_batch`) if its config says nothing else. A
    loss that is NaN or infinite ends the run before the step, after `max_skipped_steps` of them
    that are left out.
    """

    def __init__(
        self, runner: Runner, dataloader: Any, *args: Any, max_skipped_steps: int = 0, **kwargs: Any
    ) -> None:
        if isinstance(dataloader, dict):
            dataloader = {"collate_fn": stack_batch, **dataloader}
            sampler = dataloader.get("sampler") or {}
            if sampler.get("type") == "DefaultSampler":  # whose samples have no seed of their own
                dataloader["sampler"] = {
                    "type": "StatelessSampler",
                    **{key: sampler[key] for key in ("shuffle", "seed") if key in sampler},
                }
        super().__init__(runner, dataloader, *args, **kwargs)
        self.max_skipped_steps = max_skipped_steps

    def run(self) -> Any:
        if self.max_skipped_steps and accumulated_parts(self.runner) > 1:
            raise UserError("train_cfg.max_skipped_steps does not go with --accumulate")
        was_finished = self._iter >= self._max_iters
        model = super().run()
        if was_finished:
            self.runner.logger.info(f"all {self._max_iters} iterations were done already")
        return model

    def run_iter(self, data_batch: Any) -> None:
        seed_all(seed_of(self.runner.seed, "model", self.runner.rank, self._iter))
        network = unwrap(self.runner.model)
        # The forward pass that is skipped has changed the statistics of batch norm.
        buffers = [b.clone() for b in network.buffers()] if self.max_skipped_steps else []
        try:
            super().run_iter(data_batch)
        except NonFiniteLoss as error:
            info = self.runner.message_hub
            skipped = info.get_info("skipped_steps", 0) + 1
            if skipped > self.max_skipped_steps:
                self._stop(error.losses, data_batch)
            info.update_info("skipped_steps", skipped)
            for buffer, before in zip(network.buffers(), buffers, strict=True):
                buffer.copy_(before)
            self._skip(error.losses, data_batch, skipped)

    def _skip(self, losses: Mapping[str, float], data_batch: Any, skipped: int) -> None:
        self.runner.logger.warning(
            f"iteration {self._iter + 1}: {_text(losses)}; this step is left out, {skipped} of at "
            f"most {self.max_skipped_steps}; images {', '.join(_files(data_batch))}"
        )
        self.runner.call_hook("after_train_iter", batch_idx=self._iter, data_batch=data_batch)
        self._iter += 1

    def _stop(self, losses: Mapping[str, float], data_batch: Any) -> NoReturn:
        name = f"nonfinite_iter_{self._iter + 1}_process_{self.runner.rank}.pth"
        path = Path(self.runner.work_dir, name)
        content = {
            "iteration": self._iter + 1,
            "losses": losses,
            "files": _files(data_batch),
            "inputs": data_batch["inputs"],
            "distortions": [s.metainfo.get("distortion") for s in data_batch["data_samples"]],
            "labels": [sample.gt_sem_seg.data.cpu() for sample in data_batch["data_samples"]],
            "state_dict": unwrap(self.runner.model).state_dict(),
        }
        kept = f"{path} holds this batch and the parameters before the step"
        try:
            write_pickle(path, content)
        except UserError as error:
            kept = str(error)
        raise UserError(
            f"iteration {self._iter + 1}: {_text(losses)}; {kept}; images "
            f"{', '.join(content['files'])}"
        )

    @property
    def validates_now(self) -> bool:
        """Whether a validation belongs to the iterations done so far."""
        self._decide_current_val_interval()
        return (
            self.runner.val_loop is not None
            and self._iter >= max(self.val_begin, 1)
            and (self._iter % self.val_interval == 0 or self._iter == self._max_iters)
        )


def _files(data_batch: Mapping[str, Any]) -> list[str]:
    return [sample.metainfo["img_path"] for sample in data_batch["data_samples"]]


def _text(losses: Mapping[str, float]) -> str:
    values = ", ".join(f"{name} {value:g}" for name, value in losses.items())
    return f"the loss is not finite in some process (here {values})"
