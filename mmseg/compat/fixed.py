"""Arguments of MMSegmentation that this project does not have, because they have one value here."""

from collections.abc import Mapping
from typing import Any

from mmseg.errors import UserError

DISK = {"backend": "disk"}
NORMS = ({"type": "BN"}, {"type": "SyncBN"})
BATCH_NORM = (*NORMS, *({**norm, "requires_grad": True} for norm in NORMS))
ANY: tuple = ()
# The values that an argument may have. The first is named in errors. `ANY`: nothing reads the
# argument there, or only the look of pictures depends on it.
FIXED: dict[str, dict[str, tuple]] = {
    "EncoderDecoder": {"train_cfg": ANY, "neck": (None,)},
    "SegDataPreProcessor": {
        "pad_val": (0,),
        "rgb_to_bgr": (False,),
        **dict.fromkeys(("batch_augments", "size_divisor"), (None,)),
    },
    "MSCAN": {
        "num_stages": (4,),
        "act_cfg": ({"type": "GELU"},),
        "norm_cfg": BATCH_NORM,
        "attention_kernel_sizes": ([5, [1, 7], [1, 11], [1, 21]],),
        "attention_kernel_paddings": ([2, [0, 3], [0, 5], [0, 10]],),
    },
    "LightHamHead": {
        "input_transform": ("multiple_select",),
        "act_cfg": ({"type": "ReLU"},),
        **dict.fromkeys(("conv_cfg", "sampler"), (None,)),
    },
    "CrossEntropyLoss": {"use_sigmoid": (False,), "use_mask": (False,), "reduction": ("mean",)},
    "LoadImageFromFile": {
        "color_type": ("color",),
        **dict.fromkeys(("to_float32", "ignore_empty"), (False,)),
        "file_client_args": (None, DISK),
    },
    "LoadAnnotations": {"imdecode_backend": ("pillow",), "file_client_args": (None, DISK)},
    "RandomCrop": {"ignore_index": (255,)},
    **{kind: {"resize_type": ("Resize",)} for kind in ("RandomResize", "RandomChoiceResize")},
    "ResizeToMultiple": {"interpolation": (None, "bilinear")},
    **{kind: {"requires_grad": (True,)} for kind in ("GN", "BN")},
    "LovaszLoss": {"loss_type": ("multi_class",), "classes": ("present",)},
    "SegVisualizationHook": {"backend_args": (None,)},
    "SegLocalVisualizer": dict.fromkeys(("alpha", "classes", "palette", "dataset_name"), ANY),
    "ClassDiceLoss": {"reduction": ("mean",), "ignore_index": (255,)},
}
FIXED["LightHamHeadOffsetLearning"] = FIXED["LightHamHead"]
FIXED["LoadImageFromNDArray"] = FIXED["LoadImageFromFile"]
DATASET = {"ignore_index": (255,), "backend_args": (None,), "file_client_args": (None, DISK)}
# Hamburger sets `inv_t` to 1 itself, so a config's value has no effect there either. MD_D is the
# width of the head.
HAM = {
    "MD_S": (1,),
    **dict.fromkeys(("train_steps", "TRAIN_STEPS"), (6,)),
    **dict.fromkeys(("eval_steps", "EVAL_STEPS"), (7,)),
    **dict.fromkeys(("rand_init", "RAND_INIT", "SPATIAL"), (True,)),
    **dict.fromkeys(("inv_t", "INV_T", "eta", "ETA", "MD_D"), ANY),
}


def leave_out(value: dict, fixed: Mapping[str, tuple], where: str = "") -> None:
    """Remove the keys of `fixed` from a section; `UserError` for another value than those there."""
    for key in fixed.keys() & value.keys():
        given = value.pop(key)
        if fixed[key] and _as_lists(given) not in [_as_lists(each) for each in fixed[key]]:
            place = f"{where}.{key}" if where else key
            raise UserError(f"{place}={given!r}: only {fixed[key][0]!r} works here; leave it out")


def _as_lists(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _as_lists(item) for key, item in value.items()}
    return [_as_lists(item) for item in value] if isinstance(value, list | tuple) else value


def refuse_rest(section: Mapping, where: str) -> None:
    """Raise `UserError` if a key is left in a section; a translation removes what it reads."""
    for key, value in section.items():
        raise UserError(
            f"{where}.{key}={value!r} of MMSegmentation 0.x has no counterpart here; leave it out "
            "if you can do without it"
        )
