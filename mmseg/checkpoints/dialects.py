"""Key names and NMF rank of checkpoints by their source, and the facts that ours store.

Official files call the depth-wise convolution of an MLP `mlp.dwconv.dwconv`, those of
MMSegmentation `mlp.dwconv`. The rank of the head's factorisation has no parameters: a wrong one
loads and predicts something else.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

import mmseg

OFFICIAL, MMSEG, OURS = DIALECTS = ("official", "mmseg", "segnext")
MMSEG_KEY = re.compile(r"(block\d\.\d+\.mlp\.dwconv)\.(weight|bias)$")
OFFICIAL_KEY = re.compile(r"(block\d\.\d+\.mlp\.dwconv)\.dwconv\.(weight|bias)$")
WRAPPERS = re.compile(
    r"^(module\.|model\.(?=(module\.|_orig_mod\.)*(backbone|decode_head)\.))+|(?<![^.])_orig_mod\."
)
# The squeeze convolution's output is as wide as the head: T and S 256, B 512, L 1024.
WIDTH_KEY = "decode_head.squeeze.conv.weight"
RANKS = {
    OFFICIAL: {256: 16, 512: 64, 1024: 64},
    # MMSegmentation's B and L inherit the rank of T.
    MMSEG: {256: 16, 512: 16, 1024: 16},
}


def raw_state(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors under the file's own names, without the prefixes of wrappers.

    These are parallel models, `torch.compile` and Lightning.
    """
    held = checkpoint.get("state_dict", checkpoint.get("model"))
    state = held if isinstance(held, Mapping) else checkpoint
    return {
        WRAPPERS.sub("", key): value
        for key, value in state.items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }


def state_dict_of(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint under the official key names, which are ours."""
    state = raw_state(checkpoint)
    return {MMSEG_KEY.sub(r"\1.dwconv.\2", key): value for key, value in state.items()}


def state_dict_as(checkpoint: Mapping[str, Any], dialect: str) -> dict[str, Tensor]:
    """Return the tensors under the key names of `dialect`, one of `DIALECTS`."""
    state, names = state_dict_of(checkpoint), r"\1.\2" if dialect == MMSEG else r"\g<0>"
    return {OFFICIAL_KEY.sub(names, key): value for key, value in state.items()}


def dialect_of(checkpoint: Mapping[str, Any]) -> str:
    """Tell whose checkpoint it is."""
    if "segnext_version" in metadata(checkpoint):
        return OURS
    return MMSEG if any(MMSEG_KEY.search(key) for key in raw_state(checkpoint)) else OFFICIAL


def metadata(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checkpoint's metadata; bare weights have none."""
    meta = checkpoint.get("meta")
    return dict(meta) if isinstance(meta, Mapping) else {}


def config_text(checkpoint: Mapping[str, Any]) -> str:
    """Return the text of the training's config that mmengine (`cfg`) or mmcv (`config`) stored."""
    meta = metadata(checkpoint)
    return next((meta[k] for k in ("cfg", "config") if isinstance(meta.get(k), str)), "")


def rank_of(checkpoint: Mapping[str, Any]) -> int | None:
    """Return the NMF rank that a model was trained with, None when nothing tells it.

    The checkpoint may store it, or the stored config of its training. If neither does, the source
    and the size of the model tell it.
    """
    stored = metadata(checkpoint).get("nmf_rank")
    if stored is not None:
        return int(stored)
    written = set(re.findall(r"\bMD_R=(\d+)", config_text(checkpoint)))
    if len(written) == 1:
        return int(written.pop())
    width = raw_state(checkpoint).get(WIDTH_KEY)
    if width is None:
        return None
    return RANKS.get(dialect_of(checkpoint), {}).get(width.shape[0])


def tested_scale(checkpoint: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the one (width, height) to which the stored config's `Resize` steps fit images."""
    steps = re.findall(r"dict\(((?:[^()]|\([^()]*\))*)\)", config_text(checkpoint))
    resizes = [step for step in steps if re.search(r"type='Resize'", step)]
    sizes = {m for r in resizes for m in re.findall(r"scale=\(\s*(\d+),\s*(\d+),?\s*\)", r)}
    return next(((int(w), int(h)) for w, h in sizes), None) if len(sizes) == 1 else None


def model_facts(model: nn.Module) -> dict[str, Any]:
    """Return the facts about a segmentor that our checkpoints store beside its weights."""
    facts: dict[str, Any] = {"segnext_version": mmseg.__version__}
    hamburger = getattr(getattr(model, "decode_head", None), "hamburger", None)
    if hamburger is not None:
        facts["nmf_rank"] = hamburger.ham.rank
    preprocessor: Any = getattr(model, "data_preprocessor", None)
    if hasattr(preprocessor, "mean"):
        facts["mean"] = preprocessor.mean.flatten().tolist()
        facts["std"] = preprocessor.std.flatten().tolist()
        facts["bgr_to_rgb"] = preprocessor.bgr_to_rgb
    return facts


def class_names(checkpoint: Mapping[str, Any]) -> tuple[list[str], list] | tuple[None, None]:
    """Return the classes and the palette a checkpoint stores in whichever dialect, if it does."""
    meta = metadata(checkpoint)
    stored = meta.get("dataset_meta") or {}
    classes = stored.get("classes", meta.get("CLASSES"))
    palette = stored.get("palette", meta.get("PALETTE"))
    if classes is None or palette is None:
        return None, None
    return list(classes), [[int(value) for value in colour] for colour in palette]
