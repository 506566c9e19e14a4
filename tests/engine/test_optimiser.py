"""The optimiser's groups and the learning rate of every step, against the official recipe."""

import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from torch import nn

from mmseg.config import load_config
from mmseg.engine import prepare
from mmseg.engine.optimiser import merge_stored_groups
from mmseg.engine.prepare import use_amp, use_inference_amp
from mmseg.errors import UserError
from mmseg.registry import MODELS

TINY = Path(__file__).parents[2] / "local_configs/segnext/tiny"
LR, DECAY = 6e-5, 0.01
HEAD = {
    *("conv_seg.weight", "conv_seg.bias", "squeeze.conv.weight", "squeeze.gn.weight"),
    *("squeeze.gn.bias", "hamburger.ham_in.conv.weight", "hamburger.ham_in.conv.bias"),
    *("hamburger.ham_out.conv.weight", "hamburger.ham_out.gn.weight", "hamburger.ham_out.gn.bias"),
    *("align.conv.weight", "align.gn.weight", "align.gn.bias"),
}
NORMS_OF_A_BLOCK = ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias")


@pytest.fixture
def config():
    return load_config(TINY / "segnext.tiny.512x512.ade.160k.py")


def undecayed():
    """The norms of SegNeXt-T that the official recipe does not decay."""
    names = {f"norm{s}.{kind}" for s in range(1, 5) for kind in ("weight", "bias")}
    names |= {f"patch_embed{s}.norm.{kind}" for s in (2, 3, 4) for kind in ("weight", "bias")}
    for s, depth in enumerate((3, 3, 5, 2), 1):
        names |= {f"block{s}.{j}.{name}" for j in range(depth) for name in NORMS_OF_A_BLOCK}
    return {f"backbone.{name}" for name in names}


def test_each_parameter_has_the_rate_and_the_decay_of_the_official_recipe_in_three_groups(config):
    """The head learns ten times faster; the norms that are named so, and nothing else, are free."""
    with torch.device("meta"):
        model = MODELS.build(config.model)
    groups = build_optim_wrapper(model, config.optim_wrapper).optimizer.param_groups
    assert len(groups) == 3 and all(type(group) is dict for group in groups)
    found = {
        id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]
    }
    head, free = {f"decode_head.{name}" for name in HEAD}, undecayed()
    names = dict(model.named_parameters())
    assert head | free < names.keys() and len(found) == len(names)
    for name, parameter in names.items():
        wanted = (pytest.approx(10 * LR if name in head else LR), 0.0 if name in free else DECAY)
        assert found[id(parameter)] == wanted, name


def test_a_state_with_a_group_for_every_parameter_is_gone_on_with(config):
    torch.manual_seed(0)
    single, merged = (nn.Sequential() for _ in range(2))
    for model in (single, merged):
        model.add_module("norm1", nn.BatchNorm1d(4))
        model.add_module("fc", nn.Linear(4, 3))
        model.add_module("norm2", nn.BatchNorm1d(3))
        model.add_module("head", nn.Linear(3, 2))
    merged.load_state_dict(single.state_dict())
    one_each = {**config.optim_wrapper, "constructor": "mmengine.DefaultOptimWrapperConstructor"}
    before, after = (
        build_optim_wrapper(model, options)
        for model, options in ((single, one_each), (merged, config.optim_wrapper))
    )
    x = torch.randn(8, 4)
    _steps(single, before, x, 3)
    merged.load_state_dict(single.state_dict())
    stored = copy.deepcopy(before.state_dict())
    assert (len(stored["param_groups"]), len(after.optimizer.param_groups)) == (8, 3)
    merge_stored_groups(stored, after.optimizer, merged)
    after.load_state_dict(stored)
    for model, wrapper in ((single, before), (merged, after)):
        _steps(model, wrapper, x, 3)
    for name, expected in single.state_dict().items():
        assert torch.equal(merged.state_dict()[name], expected), name


def _steps(model, wrapper, x, count):
    for group in wrapper.optimizer.param_groups:
        group["lr"] = 1e-2 * group.get("lr_mult", 1)
    for _ in range(count):
        wrapper.update_params(model(x).square().sum(dim=1).mean())


def learning_rates(config, steps, base=LR):
    """The rate of the step at each iteration, of a parameter with the recipe's rate."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=base)
    schedulers = [
        PARAM_SCHEDULERS.build({**scheduler, "optimizer": optimizer})
        for scheduler in config.param_scheduler
    ]
    rates = {}
    for iteration in range(max(steps) + 1):
        if iteration in steps:
            rates[iteration] = optimizer.param_groups[0]["lr"]
        for scheduler in schedulers:
            scheduler.step()
    return rates


def official(iteration, total):
    """Polynomial decay of power 1 from the start, times a linear warm-up over 1500 iterations."""
    warm_up = 1 - (1 - iteration / 1500) * (1 - 1e-6) if iteration < 1500 else 1
    return LR * (1 - iteration / total) * warm_up


@pytest.mark.parametrize(
    ("name", "total"),
    [("ade.160k", 160_000), ("voc.40k", 40_000), ("landcover.40k_weight", 40_000)],
)
def test_learning_rate_is_the_official_one_at_every_iteration(name, total):
    config = load_config(TINY / f"segnext.tiny.512x512.{name}.py")
    steps = {0, 1, 2, 750, 1499, 1500, 1501, 20_000, total // 2, total - 1}
    for iteration, rate in learning_rates(config, steps).items():
        assert rate == pytest.approx(official(iteration, total), rel=1e-6), iteration


def test_mixed_precision_without_a_gpu_is_bfloat16_without_options_of_float16(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    given = {"type": "AmpOptimWrapper", "loss_scale": 512.0, "dtype": "float16"}
    config = Config({"optim_wrapper": {**given, "optimizer": {"type": "SGD", "lr": 0.1}}})
    use_amp(config)
    model = nn.Linear(2, 2)
    with build_optim_wrapper(model, config.optim_wrapper).optim_context(model):
        assert model(torch.zeros(1, 2)).dtype == torch.bfloat16
    assert model(torch.zeros(1, 2)).dtype == torch.float32


def test_mixed_precision_on_a_gpu_without_bfloat16_scales_the_loss(config, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    use_amp(config)
    assert config.optim_wrapper.type == "AmpOptimWrapper"
    assert config.optim_wrapper.loss_scale == "dynamic"


@pytest.mark.parametrize("use", [use_amp, use_inference_amp])
@pytest.mark.parametrize("computes", [True, False])
def test_mixed_precision_that_a_processor_emulates_is_a_warning(
    config, monkeypatch, warnings, use, computes
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(prepare, "cpu_computes_in", lambda dtype: computes)
    use(config)
    assert ["no instructions for bfloat16" in line for line in warnings] == [True] * (not computes)


def test_inference_in_mixed_precision_keeps_how_the_image_is_cut(config):
    use_inference_amp(config)
    assert config.model.test_cfg == {"mode": "whole", "amp": True}
    config.model.test_cfg = {"mode": "slide", "crop_size": (8, 8), "stride": (4, 4)}
    use_inference_amp(config)
    assert config.model.test_cfg == {
        **{"mode": "slide", "crop_size": (8, 8), "stride": (4, 4)},
        "amp": True,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normdecay_mult": 0.0}, "paramwise_cfg.normdecay_mult; did you mean 'norm_decay_mult'"),
        ({"custom_keys": {"head": {"lr_mul": 10.0}}}, "head.lr_mul; did you mean 'lr_mult'"),
    ],
)
def test_options_of_parameters_that_would_do_nothing_are_refused(options, message):
    model = nn.ModuleDict({"head": nn.Linear(2, 2)})
    optimizer = {"type": "SGD", "lr": 0.1}
    with pytest.raises(UserError) as error:
        build_optim_wrapper(model, {"optimizer": optimizer, "paramwise_cfg": options})
    assert message in str(error.value)


def test_parts_of_names_that_no_parameter_has_are_warned_of(warnings):
    model = nn.ModuleDict({"head": nn.Linear(2, 2)})
    keys = {"hed": {"lr_mult": 10.0}, "head": {"lr_mult": 10.0}}
    options = {"optimizer": {"type": "SGD", "lr": 0.1}, "paramwise_cfg": {"custom_keys": keys}}
    build_optim_wrapper(model, options)
    assert [line.partition(":")[0] for line in warnings] == [
        "optim_wrapper.paramwise_cfg.custom_keys.hed does nothing"
    ]
