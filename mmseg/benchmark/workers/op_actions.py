"""The actions of the parts `ops` and `depthwise`: what this project has fast paths for, singly."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg.benchmark.workers.actions import (
    STEPS_ON_GPU,
    Side,
    autocast,
    load_tensors,
    on_device,
)
from mmseg.ops import nmf
from mmseg.ops.class_map import Frame, class_map
from mmseg.ops.cross_entropy import upsampled_cross_entropy
from mmseg.ops.depthwise import depthwise_conv2d

# What `mmseg.benchmark.run` measures, by the names of the actions.
OPERATIONS = {
    "encoder": "encoder, inference",
    "decoder": "decoder, inference",
    "class map": "class map from logits, original size 4/3 as wide",
    "encoder step": "encoder, forward and backward",
    "decoder step": "decoder, forward and backward",
    "factorisation": "factorisation, inference",
    "factorisation step": "factorisation, forward and backward",
    "cross entropy": "cross entropy and accuracy, forward and backward",
}
KERNELS = ((3, 3), (5, 5), (1, 7), (7, 1), (1, 11), (11, 1), (1, 21), (21, 1))
LAYOUTS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}
CASES = {
    f"{height}x{width} {stage} {layout}": (stage, (height, width), layout)
    for stage in (1, 2, 3, 4)
    for height, width in KERNELS
    for layout in LAYOUTS
}
DEPTHWISE = {
    name: f"depth-wise {kernel[0]}x{kernel[1]}, stage {stage}, {layout}, forward and backward"
    for name, (stage, kernel, layout) in CASES.items()
}


def build_op_actions(side: Side, job: dict) -> dict[str, Callable[[], dict | None]]:
    """Return the actions of `ops` or `depthwise`, those of `OPERATIONS` or of `DEPTHWISE`."""
    return (operations if job["part"] == "ops" else depthwise)(side, job)


def operations(side: Side, job: dict) -> dict[str, Callable[[], dict | None]]:
    """The parts of the network and of its loss, each on what the part before gives it."""
    model = on_device(side, job)
    head, nmf_module = model.decode_head, model.decode_head.hamburger.ham
    tensors = load_tensors(job)
    x, labels = tensors["x"], tensors["labels"].long()
    bases = F.normalize(tensors["bases"], dim=1)
    with torch.no_grad(), autocast(job):
        features = model.eval().extract_feat(x)
        logits = head(features)
        context = F.relu(head.squeeze.conv(torch.cat(head.select(features), 1)).flatten(2))
    height, width = labels.shape[1:]
    frame = Frame((height, width), (height, width), (height, width + width // 3))

    def run(network: Callable, inputs: object, train: bool) -> None:
        if model.training != train:  # not each time: it lets go of the folded weights
            model.train(train)
        with torch.set_grad_enabled(train), autocast(job):
            outputs = network(inputs)
        if train:
            outputs = [outputs] if isinstance(outputs, Tensor) else outputs
            torch.autograd.backward(outputs, [torch.ones_like(output) for output in outputs])
            model.zero_grad()

    def map_classes() -> None:
        for image in logits.split(1):
            class_map(image.float(), frame)

    def factorise(train: bool) -> None:
        leaf = context.detach().requires_grad_(train)
        steps = nmf_module.train_steps if train else nmf_module.eval_steps
        with torch.set_grad_enabled(train):
            result = nmf.factorise(leaf, bases, steps)
        if train:
            torch.autograd.backward(result, [torch.ones_like(factor) for factor in result])

    def compare() -> None:
        leaf = logits.detach().requires_grad_()
        total, _ = upsampled_cross_entropy(leaf, labels)
        total.backward()

    return {
        "encoder": partial(run, model.extract_feat, x, False),
        "decoder": partial(run, head, features, False),
        "class map": map_classes,
        "encoder step": partial(run, model.extract_feat, x, True),
        "decoder step": partial(run, head, features, True),
        "factorisation": partial(factorise, False),
        "factorisation step": partial(factorise, True),
        "cross entropy": compare,
    }


def depthwise(side: Side, job: dict) -> dict[str, Callable[[], dict | None]]:
    """Each depth-wise kernel of the encoder at each stage's size, in both layouts of memory."""
    model = on_device(side, job)
    made: dict[tuple, list[Tensor]] = {}  # those of the action that is measured

    def inputs(stage: int, kernel: tuple[int, int], layout: str) -> list[Tensor]:
        if (stage, kernel, layout) not in made:
            mlp = model.backbone.get_submodule(f"block{stage}.0.mlp")
            channels = mlp.fc1.out_channels if kernel == (3, 3) else mlp.fc1.in_channels
            size = [length // 2 ** (stage + 1) for length in job["size"]]
            maps = torch.randn(2, job["batch"], channels, *size, device=job["device"])
            x, grad = (each.to(memory_format=LAYOUTS[layout]) for each in maps)
            weight = torch.randn(channels, 1, *kernel, device=job["device"])
            bias = torch.randn(channels, device=job["device"])
            with autocast(job):
                dtype = depthwise_conv2d(x[:1], weight, bias).dtype
            leaves = [each.requires_grad_() for each in (x.to(dtype), weight, bias)]
            made.clear()
            made[stage, kernel, layout] = [*leaves, grad.to(dtype)]
        return made[stage, kernel, layout]

    def step(stage: int, kernel: tuple[int, int], layout: str) -> None:
        *leaves, grad = inputs(stage, kernel, layout)
        with autocast(job):
            output = depthwise_conv2d(*leaves)
        torch.autograd.grad(output, leaves, grad)

    if job["device"] == "cpu":
        return {name: partial(step, *case) for name, case in CASES.items()}
    captured: dict[str, torch.cuda.CUDAGraph] = {}

    def replay(name: str) -> dict:
        if name not in captured:
            captured.clear()
            captured[name] = capture(partial(step, *CASES[name]))
        captured[name].replay()
        return {"count": STEPS_ON_GPU}

    return {name: partial(replay, name) for name in CASES}


def capture(action: Callable[[], None]) -> torch.cuda.CUDAGraph:
    """Record some repetitions of what is over before a GPU is told of the next."""
    with torch.cuda.stream(torch.cuda.Stream()):
        for _ in range(3):
            action()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(STEPS_ON_GPU):
            action()
    return graph
