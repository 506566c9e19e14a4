"""Load weights completely, or refuse them with an error that names what is missing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import MMLogger
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import Tensor, nn

from mmseg.checkpoints.dialects import model_facts, rank_of, state_dict_of
from mmseg.checkpoints.files import read_checkpoint
from mmseg.errors import UserError
from mmseg.registry import WEIGHT_INITIALIZERS

CLASSIFIERS = ("decode_head.conv_seg.", "decode_head.offset_learning.")
STEM = "patch_embed1.proj.0.weight"
RGB = ("red", "green", "blue")
SHOWN = 5


def unwrap(model: nn.Module) -> nn.Module:
    """Return the segmentor inside parallel and test-time wrappers."""
    network: Any = model
    while is_model_wrapper(network) or isinstance(network, BaseTTAModel):
        network = network.module
    return network


def load_model_weights(
    model: nn.Module,
    path: str | Path,
    new_classes: bool = False,
    nmf_rank: int | None = None,
    checkpoint: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Load a full model from a checkpoint of any source, and return the checkpoint.

    With `new_classes` the classifier keeps its fresh values. `nmf_rank` says which rank the
    checkpoint was trained with. `checkpoint` is the content of `path`, if it is read already.
    Raises `UserError` when a tensor is missing or has another shape, and when the rank of the
    checkpoint is not the model's.
    """
    checkpoint = checkpoint or read_checkpoint(path)
    network: Any = unwrap(model)
    state = state_dict_of(checkpoint)
    if new_classes:
        names = [key for key in network.state_dict() if key.startswith(CLASSIFIERS)]
        state |= {key: network.state_dict()[key] for key in names}
        MMLogger.get_current_instance().warning(
            f"{path}: the classifier is not loaded but starts fresh, for the classes of the config"
        )
    _load(network, state, str(path), "model")  # first: of another size, no rank helps
    _check_rank(network, nmf_rank or rank_of(checkpoint), path)
    stored = (checkpoint.get("meta") or {}).get("dataset_meta") or {}
    network.temperature = float(stored.get("temperature", 1))
    return checkpoint


# The second name is mmengine's, as in `mmseg.compat`, which this room cannot import.
@WEIGHT_INITIALIZERS.register_module(name=["PretrainedBackbone", "Pretrained"])
class PretrainedBackbone:
    """Initialise a backbone from the file `checkpoint` or, if it is absent, from `url`.

    The file may also hold a full model, whose `prefix` is taken, or a classifier, whose `head.*` is
    left out. `UserError` if there are no weights or if they do not fit: a run that asked for
    ImageNet weights never trains without them. As `Pretrained` it also stands for mmengine's class,
    so that no file which `init_cfg` names is unpickled without limits.

    `bands` names the bands of the images where they are not red, green and blue; see `adapt_stem`.
    """

    def __init__(
        self,
        checkpoint: str,
        url: str | None = None,
        prefix: str = "backbone.",
        bands: Sequence[str] | None = None,
    ) -> None:
        self.checkpoint, self.url, self.bands = checkpoint, url, bands
        self.prefix = prefix.rstrip(".") + "."

    def __call__(self, module: nn.Module) -> None:
        there = Path(self.checkpoint).is_file()
        source = self.checkpoint if there or not self.url else self.url
        try:
            content = read_checkpoint(source)
        except UserError as error:
            if there:
                raise
            raise UserError(
                f"no ImageNet weights: {error}; put that file at "
                f"{Path(self.checkpoint).absolute()}, or train without it "
                "(model.backbone.init_cfg=None): the configs whose names end in _nopre need none"
            ) from error
        state = state_dict_of(content)
        prefix = self.prefix
        if any(key.startswith(prefix) for key in state):
            state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        if STEM in state and STEM in (own := module.state_dict()):
            count = own[STEM].shape[1]
            bands = self.bands or (RGB if count == len(RGB) else ["unnamed"] * count)
            state[STEM] = adapt_stem(state[STEM], bands, source)
        _load(module, state, source, "backbone")


def adapt_stem(weight: Tensor, bands: Sequence[str], source: str) -> Tensor:
    """Turn the filters (out, 3, k, k) for red, green and blue into those for `bands`.

    A band called red, green or blue keeps its filters. Another band has their mean. All are scaled
    by 3 / number of bands, so that a grey image gives activations of the same size. (The idea is
    `adapt_input_conv` of timm.) The log says so. Filters for other than three bands, and those for
    exactly red, green, blue, are returned as they are.
    """
    if weight.shape[1] != len(RGB) or tuple(bands) == RGB:
        return weight
    mean = weight.mean(1)
    planes = [weight[:, RGB.index(band)] if band in RGB else mean for band in bands]
    others = [band for band in bands if band not in RGB]
    MMLogger.get_current_instance().info(
        f"{source}: its stem is made to take the {len(bands)} bands {', '.join(bands)}"
        + (f"; the mean of its three filters for {', '.join(others)}" if others else "")
        + f"; all times {len(RGB)}/{len(bands)}"
    )
    return torch.stack(planes, 1) * (len(RGB) / len(bands))


def check_number_of_classes(network: Any, classes: Sequence[str]) -> None:
    """Raise `UserError` unless the model gives as many classes as the data set has."""
    found = network.decode_head.num_classes
    if len(classes) != found:
        raise UserError(
            f"model.decode_head.num_classes={found}, but the data set has {len(classes)} classes: "
            f"set num_classes={len(classes)}"
        )


def warn_of_other_classes(
    classes: Sequence[str] | None, where: str, others: Sequence[str], elsewhere: str
) -> None:
    """Log it when the names of as many classes differ by more than spaces and capitals."""
    pairs = enumerate(zip(classes or (), others, strict=False))
    different = [i for i, pair in pairs if len({name.strip().lower() for name in pair}) > 1]
    if classes and different and len(classes) == len(others):
        first = different[0]
        MMLogger.get_current_instance().warning(
            f"{where}: {len(different)} of {len(classes)} classes have other names than in "
            f"{elsewhere}: class {first} is {classes[first]!r}, there {others[first]!r}"
        )


def _check_rank(network: nn.Module, rank: int | None, path: str | Path) -> None:
    wanted = model_facts(network).get("nmf_rank")
    if wanted is None or rank == wanted:
        return
    if rank is None:
        MMLogger.get_current_instance().warning(
            f"{path} does not tell its NMF rank; MD_R={wanted} of the config is used"
        )
    else:
        raise UserError(
            f"{path}: trained with NMF rank {rank}, the config has ham_kwargs.MD_R={wanted}, and "
            f"the weights would load with either: pass --nmf-rank {rank} to use the checkpoint's, "
            f"or --nmf-rank {wanted} if you know it was trained with that"
        )


def _load(module: nn.Module, state: Mapping[str, Tensor], source: str, part: str) -> None:
    """Load a state, and log how many tensors of each part; `UserError` if one lacks or differs."""
    expected = module.state_dict()
    # Old files lack the counters, which nothing reads.
    needed = [key for key in expected if not key.endswith("num_batches_tracked")]
    missing = [key for key in needed if key not in state]
    wrong = [k for k in expected if k in state and state[k].shape != expected[k].shape]
    if missing or wrong:
        raise UserError(f"{source}: {_mismatch(missing, wrong, state, expected, len(needed))}")
    module.load_state_dict({key: state[key] for key in expected if key in state}, strict=False)
    unused = len(state.keys() - expected.keys())
    others = f"; {unused} others in the file not used" if unused else ""
    names = [key.partition(".")[0] if part == "model" else part for key in needed]
    loaded = ", ".join(f"{n} of {n} {p} tensors" for p, n in Counter(names).items())
    MMLogger.get_current_instance().info(f"{source}: {loaded}{others}")


def _mismatch(missing: list, wrong: list, state: Mapping, expected: Mapping, total: int) -> str:
    loaded = [key for key in state if not key.startswith(CLASSIFIERS)]  # may be the model's own
    heads = [any(k.startswith("decode_head.") for k in keys) for keys in (expected, loaded)]
    first = wrong[0] if wrong and not missing else ""
    sizes = zip(state[first].shape, expected[first].shape, strict=False) if first else ()
    there, here = next((pair for pair in sizes if pair[0] != pair[1]), (0, 0))
    if heads == [True, False] and any(k in expected or f"backbone.{k}" in expected for k in loaded):
        cause = "it has no decode head: is it an encoder, for model.backbone.init_cfg?"
    elif first and all(key.startswith(CLASSIFIERS) for key in wrong):
        cause = (
            f"it was trained on {there} classes, the config has {here} (to fine-tune on other "
            "classes, pass --new-classes to tools/train.py)"
        )
    elif first.endswith(STEM) and len(wrong) == 1:
        cause = f"it was trained on images of {there} bands, the config has {here}"
    elif len(missing) == total:
        cause = f"it holds another kind of model, with {', '.join(list(state)[:SHOWN])}"
    else:
        incomplete = "" if wrong else ", or incomplete"
        cause = f"it is of another size than the config (tiny, small, base, large){incomplete}"
    shapes = [f"{k} {list(state[k].shape)} instead of {list(expected[k].shape)}" for k in wrong]
    names, found = [*shapes, *missing], total - len(missing) - len(wrong)
    more = ", ..." if len(names) > SHOWN else ""
    return f"{found} of {total} tensors fit, {cause}: {', '.join(names[:SHOWN])}{more}"
