"""Arguments of MMSegmentation's classes with one value in every SegNeXt; see `openmmlab`."""

DISK = {"backend": "disk"}
# Arguments that this project does not have, with the values that it works by. The first is named
# in errors.
FIXED: dict[str, dict[str, tuple]] = {
    "EncoderDecoder": {"train_cfg": ({}, None), "auxiliary_head": (None,), "neck": (None,)},
    "SegDataPreProcessor": {
        "pad_val": (0,),
        "rgb_to_bgr": (False,),
        "batch_augments": (None,),
        "size_divisor": (None,),
    },
    "MSCAN": {
        "num_stages": (4,),
        "act_cfg": ({"type": "GELU"},),
        "attention_kernel_sizes": ([5, [1, 7], [1, 11], [1, 21]],),
        "attention_kernel_paddings": ([2, [0, 3], [0, 5], [0, 10]],),
    },
    "LightHamHead": {
        "input_transform": ("multiple_select",),
        "conv_cfg": (None,),
        "act_cfg": ({"type": "ReLU"},),
        "out_channels": (None,),
        "threshold": (None,),
        "sampler": (None,),
    },
    "CrossEntropyLoss": {"use_sigmoid": (False,), "use_mask": (False,), "reduction": ("mean",)},
    "LoadImageFromFile": {
        "to_float32": (False,),
        "color_type": ("color",),
        "ignore_empty": (False,),
        "file_client_args": (None, DISK),
    },
    "LoadAnnotations": {"imdecode_backend": ("pillow",), "file_client_args": (None, DISK)},
    "RandomCrop": {"ignore_index": (255,)},
    "RandomResize": {"resize_type": ("Resize",)},
    "RandomChoiceResize": {"resize_type": ("Resize",)},
    "ResizeToMultiple": {"interpolation": (None, "bilinear")},
    "GN": {"requires_grad": (True,)},
    "BN": {"requires_grad": (True,)},
    "IoUMetric": {"nan_to_num": (None,), "beta": (1,)},
}
DATASET = {"ignore_index": (255,), "backend_args": (None,), "file_client_args": (None, DISK)}
BATCH_NORM = (
    {"type": "BN"},
    {"type": "BN", "requires_grad": True},
    {"type": "SyncBN"},
    {"type": "SyncBN", "requires_grad": True},
)
# Hamburger sets `inv_t` to 1 itself, so a config's value has no effect there either. MD_D is the
# width of the head.
HAM = {
    "MD_S": (1,),
    **dict.fromkeys(("train_steps", "TRAIN_STEPS"), (6,)),
    **dict.fromkeys(("eval_steps", "EVAL_STEPS"), (7,)),
    **dict.fromkeys(("rand_init", "RAND_INIT", "SPATIAL"), (True,)),
}
HAM_WITHOUT_EFFECT = ("inv_t", "INV_T", "eta", "ETA", "MD_D")
DEFAULT_RANK = 64
