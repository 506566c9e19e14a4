"""The compiled network of a segmentor, for inference and for training."""

import copy

import pytest
import torch
from mmengine.structures import PixelData

from mmseg.engine.compile import compile_network
from mmseg.errors import UserError
from mmseg.models.tta import SegTTAModel
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample


@pytest.fixture
def model(tiny_model):
    torch.manual_seed(0)
    return MODELS.build(tiny_model).eval()


@pytest.fixture
def compiled(monkeypatch):
    """What torch.compile, which here does nothing, was given; every device passes for a GPU."""
    found = []

    def compile(function, options=None):
        if options:  # else it is tried whether compiling works
            found.append((function, options["triton.cudagraphs"]))
        return function

    monkeypatch.setattr(torch, "compile", compile)
    monkeypatch.setattr(torch.nn.Parameter, "is_cuda", True)
    return found


def test_compiling_replaces_the_network_alone(model, compiled):
    network, training_logits = model.logits, model.training_logits
    compile_network(SegTTAModel(module=model))
    compile_network(model, trains=True)
    assert compiled == [(network, True), (training_logits, True)]


def test_gradients_are_accumulated_without_graphs_that_write_over_them(model, compiled):
    compile_network(model, trains=True, accumulates=True)
    assert [graphs for _, graphs in compiled] == [False]


def test_predictions_do_not_lie_where_a_graph_writes_the_next_ones(model, compiled):
    memory = torch.zeros(1, 3, 8, 8)
    model.logits = lambda x: memory.fill_(x.sum())
    compile_network(model)
    one, other = (model.logits(torch.full((1,), value)) for value in (1.0, 2.0))
    assert (one.mean(), other.mean()) == (1.0, 2.0)


def test_weights_of_a_compiled_network_are_constants(model, monkeypatch):
    compile, inputs = torch.compile, []

    def count(graph, examples):
        inputs.append(len(examples))
        return graph

    monkeypatch.setattr(torch, "compile", lambda function, **_: compile(function, backend=count))
    compile_network(model)
    with torch.no_grad():
        model.logits(torch.randn(1, 3, 32, 32))
    assert inputs[-1] == 1  # the image


def test_compiling_does_not_go_with_checkpointed_blocks(model, compiled):
    model.backbone.with_cp = True
    with pytest.raises(UserError, match="--compile does not go with model"):
        compile_network(model, trains=True)


def test_the_compiler_sees_the_network_whole_and_computes_the_same(tiny_model, monkeypatch):
    compile = torch.compile
    whole = {"backend": "eager", "fullgraph": True}
    monkeypatch.setattr(torch, "compile", lambda function, **_: compile(function, **whole))
    # Two stages and one step of the factorisation are fewer operations to trace.
    tiny_model["backbone"].update(embed_dims=(8, 16), depths=(1, 1), mlp_ratios=(2, 2))
    tiny_model["decode_head"].update(in_channels=(8, 16), in_index=(0, 1))
    torch.manual_seed(0)
    model = MODELS.build(tiny_model)
    factorisation = model.decode_head.hamburger.ham
    factorisation.train_steps = factorisation.eval_steps = 1
    compiled = copy.deepcopy(model)
    compile_network(compiled)
    compile_network(compiled, trains=True)
    images, samples = torch.randn(2, 3, 64, 64), [SegDataSample(), SegDataSample()]
    for sample in samples:
        sample.gt_sem_seg = PixelData(data=torch.randint(3, (1, 64, 64), dtype=torch.uint8))
    results = []
    for segmentor in (model, compiled):
        torch.manual_seed(0)
        with torch.no_grad():
            logits = segmentor.eval().logits(images)
        loss, _ = segmentor.parse_losses(segmentor.train()(images, samples, mode="loss"))
        loss.backward()
        results.append((logits, loss, segmentor.backbone.patch_embed1.proj[0].weight.grad))
    for value, wanted in zip(*results, strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-4, atol=1e-5)
