"""Translate iterations, optimiser and learning rate of MMSegmentation 0.x to mmengine's."""

from collections.abc import Mapping

from mmseg.errors import UserError


def translate_loops(old: dict, new: dict) -> None:
    """Translate `runner` and `evaluation` to the three loops and the evaluators."""
    runner = old.get("runner")
    if runner is None or runner.get("type") != "IterBasedRunner":
        raise UserError(f"runner={runner!r}: use dict(type='IterBasedRunner', max_iters=...)")
    max_iters = runner["max_iters"]
    evaluation = old.get("evaluation", {})
    interval = evaluation.pop("interval", 1)
    new["train_cfg"] = {
        "type": "IterBasedTrainLoop",
        "max_iters": max_iters,
        "val_interval": interval,
    }
    new |= {"val_cfg": {"type": "ValLoop"}, "test_cfg": {"type": "TestLoop"}}
    metric = evaluation.pop("metric", "mIoU")
    metrics = [metric] if isinstance(metric, str) else list(metric)
    new["val_evaluator"] = {"type": "IoUMetric", "iou_metrics": metrics}
    new["test_evaluator"] = dict(new["val_evaluator"])
    if "val_dataloader" not in new:
        new |= {"val_cfg": None, "val_evaluator": None}
    if "test_dataloader" not in new:
        new |= {"test_cfg": None, "test_evaluator": None}


def translate_optimizer(old: dict, new: dict) -> None:
    """Translate `optimizer`, `optimizer_config` and `fp16` to `optim_wrapper`."""
    optimizer = old.get("optimizer", {})
    wrapper = {"type": "OptimWrapper", "optimizer": optimizer}
    for key in ("paramwise_cfg", "constructor"):
        if optimizer.get(key) is not None:
            wrapper[key] = optimizer.pop(key)
    steps = old.get("optimizer_config", {})
    if steps.get("grad_clip"):
        wrapper["clip_grad"] = steps["grad_clip"]
    kind = steps.pop("type", None)
    if kind == "GradientCumulativeOptimizerHook":
        wrapper["accumulative_counts"] = steps.pop("cumulative_iters")
    elif kind not in (None, "OptimizerHook", "Fp16OptimizerHook"):
        raise UserError(f"optimizer_config.type={kind!r}: put what it does into optim_wrapper")
    half = old.get("fp16") or (steps if kind == "Fp16OptimizerHook" else None)
    if half is not None:
        wrapper |= {"type": "AmpOptimWrapper", "loss_scale": half.pop("loss_scale", 512.0)}
    steps.pop("grad_clip", None)
    refuse_rest(steps, "optimizer_config")
    new["optim_wrapper"] = wrapper


def translate_rates(old: dict, new: dict) -> None:
    """Translate `lr_config` to `param_scheduler`, a list of schedulers.

    mmengine multiplies their factors. A scheduler reaches its last value one iteration before its
    `end`.
    """
    max_iters = new["train_cfg"]["max_iters"]
    rates = old.get("lr_config", {"policy": "fixed"})
    new["param_scheduler"] = [*_warmup(rates), *_policy(rates, max_iters)]
    refuse_rest(rates, "lr_config")


def _warmup(old: dict) -> list[dict]:
    if old.pop("by_epoch", False):
        raise UserError("lr_config.by_epoch=True: set by_epoch=False and count in iterations")
    if not (warmup := old.pop("warmup", None)):
        return []
    if warmup not in ("linear", "constant"):
        raise UserError(f"lr_config.warmup={warmup!r}: use 'linear' or 'constant'")
    if old.get("min_lr"):
        raise UserError("lr_config.min_lr with a warm-up: set min_lr=0 or no warmup")
    ratio, iters = old.pop("warmup_ratio", 0.1), old.pop("warmup_iters")
    kind, key = ("LinearLR", "start_factor") if warmup == "linear" else ("ConstantLR", "factor")
    return [{"type": kind, key: ratio, "by_epoch": False, "begin": 0, "end": iters + 1}]


def _policy(old: dict, max_iters: int) -> list[dict]:
    policy = old.pop("policy")
    if policy == "fixed":
        return []
    if policy == "poly":
        values = {"power": old.pop("power", 1.0), "eta_min": old.pop("min_lr", 0.0)}
        scheduler = {"type": "PolyLR", **values}
    elif policy == "step":
        step = old.pop("step")
        every = range(step, max_iters + 1, step) if isinstance(step, int) else step
        values = {"milestones": list(every), "gamma": old.pop("gamma", 0.1)}
        scheduler = {"type": "MultiStepLR", **values}
    elif policy == "CosineAnnealing":
        values = {"T_max": max_iters, "eta_min": old.pop("min_lr", 0.0)}
        scheduler = {"type": "CosineAnnealingLR", **values}
    else:
        raise UserError(
            f"lr_config.policy={policy!r}: only poly, step, CosineAnnealing and fixed are "
            "translated; write another policy as param_scheduler in mmengine's dialect"
        )
    return [{**scheduler, "by_epoch": False, "begin": 0, "end": max_iters + 1}]


def refuse_rest(section: Mapping, where: str) -> None:
    """Raise `UserError` if a key is left in a section; the translation removes what it reads."""
    for key, value in section.items():
        raise UserError(
            f"{where}.{key}={value!r} of MMSegmentation 0.x has no counterpart here; leave it out "
            "if you can do without it"
        )
