"""The actions of each part, the same for both sides, on what a `Side` builds.

Besides the standard library and torch it imports mmengine, which both have and build on:
`data_preprocessor`, `parse_losses`, `test_step` and the modes of `forward` mean the same in both.
"""

import copy
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Protocol

import torch
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.structures import PixelData
from torch import Tensor, nn
from torch.utils.data._utils.pin_memory import pin_memory

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# Too short to be timed one by one.
SAMPLES_PER_STEP = 32
METRIC_REPEATS = 10
STEPS_ON_GPU = 10
# Of compiled logits from eager ones, as a share of the largest.
COMPILED_TOLERANCE, COMPILED_AMP_TOLERANCE = 1e-2, 0.2


class Side(Protocol):
    """What a project builds of its own for a job."""

    def build_model(self, job: dict) -> Any:
        """Return the model with the weights of the job, on the CPU."""

    sample_type: Any
    label_dtype: torch.dtype
    # The config of its optimiser, and how its training loader makes samples a batch.
    optim_wrapper: dict
    collate: Any
    # Whether its loader leaves batches where a GPU copies them from while the program goes on.
    pins: bool
    # Whether an image gives the same logits each time.
    repeatable: bool

    def compile_model(self, model: Any, part: str) -> None:
        """Compile the network, for what the job's part does with it."""

    def set_bases(self, model: nn.Module, bases: Tensor) -> None:
        """Let the factorisation start from bases (B, D, R)."""

    def build_dataset(self, job: dict, split: str) -> Any:
        """Return the `train` or `test` data set with its pipeline."""

    def build_loader(self, job: dict) -> Iterable:
        """Return the loader of training batches."""

    def build_metric(self) -> Any:
        """Return the metric of the test set."""


def build_actions(side: Side, job: dict) -> dict:
    """Return the actions of the job's part by name."""
    parts = {"infer": infer, "train": train, "data": data, "eval": evaluate, "check": check}
    return parts[job["part"]](side, job)


def infer(side: Side, job: dict) -> dict:
    """The network alone, (B, 3, H, W) to logits at 1/8, and with it the class maps."""
    model = side.build_model(job).to(job["device"]).eval()
    tensors = load_tensors(job)
    x, labels = tensors["x"], tensors["labels"]

    @torch.no_grad()
    def logits() -> Tensor:
        with autocast(job):
            return model(x, mode="tensor")

    def step() -> None:
        logits()

    @torch.no_grad()
    def classes() -> None:
        samples = build_samples(side, labels, labels.shape[1:])
        with autocast(job):
            model(x, samples, mode="predict")

    if job["compile"]:
        eager = logits() if side.repeatable else None
        side.compile_model(model, job["part"])
        if eager is not None:
            check_compiled(logits(), eager, job)
    return {"step": step, "classes": classes}


def train(side: Side, job: dict) -> dict:
    """A training step: on a batch that is there, and in a loop on what the loader gives."""
    model = on_device(side, job).train()
    # The kind and the groups that its config asks for, at so small a rate that the weights stay as
    # they are, however many steps are measured.
    wrapper = copy.deepcopy(side.optim_wrapper)
    wrapper["optimizer"]["lr"] = 1e-8
    optimiser = build_optim_wrapper(model, wrapper).optimizer
    scaler = torch.amp.GradScaler(job["device"].split(":")[0], enabled=job["amp"] == "fp16")
    tensors = torch.load(job["inputs"], weights_only=True)
    labels = tensors["labels"].to(side.label_dtype)
    # A GPU works on while the next step is prepared, unless it is waited for.
    steps = 1 if job["device"] == "cpu" else STEPS_ON_GPU
    # Channels last, as images are decoded, and stacked before: that is work of a loader's workers.
    images = tensors["images"].contiguous(memory_format=torch.channels_last)
    pairs = zip(images, build_samples(side, labels, labels.shape[1:]), strict=True)
    batch = side.collate([{"inputs": x, "data_samples": sample} for x, sample in pairs])
    if side.pins and job["device"] != "cpu":
        batch = pin_memory(batch)
    batches: Any = None

    def on_batch(batch: dict) -> None:
        batch = model.data_preprocessor(batch, True)
        with autocast(job):
            losses = model(**batch, mode="loss")
        loss, _ = model.parse_losses(losses)
        scaler.scale(loss).backward()
        scaler.step(optimiser)
        scaler.update()
        optimiser.zero_grad()

    def step() -> dict:
        for _ in range(steps):
            on_batch(dict(batch))
        return {"count": steps}

    def loop() -> dict:
        nonlocal batches
        batches = batches or iter(side.build_loader(job))
        waited = 0.0
        for _ in range(steps):
            start = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - start
            on_batch(batch)
        return {"count": steps, "waited": waited}

    return {"step": step, "loop": loop}


def data(side: Side, job: dict) -> dict:
    """Training samples through the pipeline, in this process."""
    dataset = side.build_dataset(job, "train")
    numbers = _numbers(dataset)

    def step() -> dict:
        for _ in range(SAMPLES_PER_STEP):
            dataset[next(numbers)]
        return {"count": SAMPLES_PER_STEP}

    return {"step": step}


def evaluate(side: Side, job: dict) -> dict:
    """An image from its file to its counts, and the counting alone."""
    model = on_device(side, job).eval()
    dataset = side.build_dataset(job, "test")
    metric = side.build_metric()
    metric.dataset_meta = dataset.metainfo
    numbers = _numbers(dataset)
    predicted: list[dict] = []

    @torch.no_grad()
    def image() -> None:
        batch = pseudo_collate([dataset[next(numbers)]])
        with autocast(job):
            samples = model.test_step(batch)
        predicted[:] = [sample.to_dict() for sample in samples]
        metric.process(batch, predicted)

    def count() -> dict:
        metric.results.clear()
        for _ in range(METRIC_REPEATS):
            metric.process(None, predicted)
        return {"count": METRIC_REPEATS}

    return {"image": image, "metric": count}


def check(side: Side, job: dict) -> dict:
    """Write the numbers that must be equal: logits, class map, loss and gradients."""
    # Float32 means float32, on GPUs too.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    model = on_device(side, job)
    tensors = load_tensors(job)
    side.set_bases(model, tensors["bases"])

    def numbers() -> None:
        torch.save({**_predictions(), **_gradients()}, job["out"])

    @torch.no_grad()
    def _predictions() -> dict[str, Tensor]:
        model.eval()
        found = {"logits": model(tensors["x"], mode="tensor").float().cpu()}
        if job["amp"]:
            with autocast(job):
                found["logits of amp"] = model(tensors["x"], mode="tensor").float().cpu()
        # An original of another size, so that the second interpolation runs as well.
        height, width = tensors["labels"].shape[1:]
        samples = build_samples(side, tensors["labels"].cpu(), (height, width + width // 3))
        images = list(tensors["images"].cpu())
        predicted = model.test_step({"inputs": images, "data_samples": samples})
        found["classes"] = torch.stack([p.pred_sem_seg.data[0].cpu() for p in predicted]).long()
        return found

    def _gradients() -> dict[str, Tensor]:
        model.train()
        for module in model.modules():  # the sides draw in different orders
            if "Drop" in type(module).__name__:
                module.eval()
        labels = tensors["labels"]
        samples = build_samples(side, labels, labels.shape[1:])
        losses = model(tensors["x"], samples, mode="loss")
        loss = sum(value for name, value in losses.items() if "loss" in name)
        loss.backward()
        norms = [norm for _, norm in sorted(_gradient_norms(model))]
        return {"loss": loss.detach().double().cpu(), "gradients": torch.stack(norms)}

    return {"numbers": numbers}


def check_compiled(logits: Tensor, eager: Tensor, job: dict) -> None:
    """Raise ValueError when compiled code computes something else than eager code does."""
    gap = ((logits - eager).abs().max() / eager.abs().max()).item()
    # Written so that NaN does not pass. Compilers round less often than autocast does, and float32
    # on GPUs may multiply in TF32 in one and not in the other.
    if not gap <= (COMPILED_AMP_TOLERANCE if job["amp"] else COMPILED_TOLERANCE):
        raise ValueError(f"compiled logits differ from eager ones by {gap:.1e} of the largest")


def build_samples(side: Side, labels: Tensor, ori_shape: Sequence[int]) -> list:
    """Return data samples with labels (B, H, W) and the size of the original image."""
    meta = {"img_path": "", "ori_shape": tuple(ori_shape), "img_shape": tuple(labels.shape[1:])}
    samples = [side.sample_type(metainfo=meta) for _ in labels]
    for sample, label in zip(samples, labels, strict=True):
        sample.gt_sem_seg = PixelData(data=label[None].to(side.label_dtype))
    return samples


def official_name(key: str) -> str:
    """Return the released checkpoints' name of a weight; the peer says `mlp.dwconv` for two."""
    return key.replace(".mlp.dwconv.", ".mlp.dwconv.dwconv.").replace(
        ".dwconv.dwconv.dwconv.", ".dwconv.dwconv."
    )


def _gradient_norms(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        yield official_name(name), parameter.grad.double().norm().cpu()


def on_device(side: Side, job: dict) -> Any:
    model = side.build_model(job).to(job["device"])
    if job["compile"]:
        side.compile_model(model, job["part"])
    return model


def load_tensors(job: dict) -> dict[str, Tensor]:
    return torch.load(job["inputs"], weights_only=True, map_location=job["device"])


def autocast(job: dict) -> torch.autocast:
    device = job["device"].split(":")[0]
    dtype = DTYPES.get(job["amp"], torch.bfloat16)
    return torch.autocast(device, dtype, enabled=job["amp"] is not None)


def _numbers(dataset: Sized) -> itertools.cycle:
    return itertools.cycle(range(len(dataset)))
