"""MSCAN as encoders of timm: `timm.create_model("mscan_tiny", features_only=True)`.

Import this module before; it registers `mscan_tiny`, `mscan_small`, `mscan_base` and `mscan_large`.
`pretrained=True` loads the authors' ImageNet weights.
"""

from collections.abc import Sequence
from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from mmseg.checkpoints.dialects import state_dict_of
from mmseg.errors import UserError
from mmseg.models.backbones.mscan import MSCAN

# Widths and depths of the stages, drop path, file of the weights.
SIZES: dict[str, tuple] = {
    "mscan_tiny": ((32, 64, 160, 256), (3, 3, 5, 2), 0.1, "mscan_t_20230227-119e8c9f.pth"),
    "mscan_small": ((64, 128, 320, 512), (2, 2, 4, 2), 0.1, "mscan_s_20230227-f33ccdf2.pth"),
    "mscan_base": ((64, 128, 320, 512), (3, 3, 12, 3), 0.1, "mscan_b_20230227-3ab7d230.pth"),
    "mscan_large": ((64, 128, 320, 512), (3, 5, 27, 3), 0.3, "mscan_l_20230227-cef260d4.pth"),
}
FOLDER = "https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segnext/"
default_cfgs = generate_default_cfgs(
    {
        name: {
            "url": FOLDER + file,
            "num_classes": -1,  # there is no classifier
            "first_conv": "patch_embed1.proj.0",
            "license": "apache-2.0",
        }
        for name, (*_, file) in SIZES.items()
    }
)


class MSCANModel(MSCAN):
    """MSCAN with timm's interface."""

    def __init__(
        self, embed_dims: Sequence[int], depths: Sequence[int], in_chans: int = 3, **kwargs: Any
    ) -> None:
        super().__init__(embed_dims, depths, in_channels=in_chans, **kwargs)
        self.feature_info = [
            {"num_chs": width, "reduction": 4 * 2**stage, "module": f"norm{stage + 1}"}
            for stage, width in enumerate(embed_dims)
        ]
        self.fill_convolutions()  # mmengine's `init_weights` logs every tensor

    def forward_intermediates(
        self, x: Tensor, indices: Any = None, intermediates_only: bool = False, **_: Any
    ) -> Any:
        """Return the maps of `indices`; unless `intermediates_only`, the last one before them.

        As timm has it, no indices are all maps, and a number is so many of the last ones.
        """
        maps = self(x)
        if indices is None or isinstance(indices, int):
            found = [*maps[-(indices or len(maps)) :]]
        else:
            found = [maps[i] for i in indices]
        return found if intermediates_only else (maps[-1], found)


def _keys_of_ours(checkpoint: dict, model: nn.Module) -> dict[str, Tensor]:
    """Return the encoder's tensors of a file of any source; `UserError` if one lacks."""
    own, state = model.state_dict(), state_dict_of(checkpoint)
    # Old files lack the counters, which nothing reads.
    needed = [k for k in own if not k.endswith("num_batches_tracked")]
    if missing := [k for k in needed if k not in state]:
        raise UserError(f"the weights of MSCAN lack {len(missing)} tensors, such as {missing[0]}")
    return {k: state.get(k, value) for k, value in own.items()}


def _register(name: str) -> None:
    widths, depths, drop_path, _ = SIZES[name]

    def create(pretrained: bool = False, **kwargs: Any) -> nn.Module:
        arguments = {"embed_dims": widths, "depths": depths, "drop_path_rate": drop_path, **kwargs}
        return build_model_with_cfg(
            MSCANModel,
            name,
            pretrained,
            pretrained_filter_fn=_keys_of_ours,
            feature_cfg={"out_indices": (0, 1, 2, 3), "feature_cls": "getter"},
            **arguments,
        )

    create.__name__ = name  # by which timm finds it
    register_model(create)


for _name in SIZES:
    _register(_name)
