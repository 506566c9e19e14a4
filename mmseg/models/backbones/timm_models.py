"""MSCAN as models of timm: import this module, then call `timm.create_model("mscan_tiny")`.

It registers `mscan_tiny`, `mscan_small`, `mscan_base` and `mscan_large`, as encoders
(`features_only=True`) and as classifiers. `pretrained=True` loads the authors' ImageNet weights.
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
            "first_conv": "patch_embed1.proj.0",
            "classifier": "head",
            "license": "apache-2.0",
        }
        for name, (*_, file) in SIZES.items()
    }
)


class MSCANModel(MSCAN):
    """MSCAN with timm's interface: images (B, in_chans, H, W) -> class logits (B, num_classes)."""

    def __init__(
        self,
        embed_dims: Sequence[int],
        depths: Sequence[int],
        num_classes: int = 1000,
        in_chans: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(embed_dims, depths, in_channels=in_chans, **kwargs)
        self.num_features = embed_dims[-1]
        self.feature_info = [
            {"num_chs": width, "reduction": 4 * 2**stage, "module": f"norm{stage + 1}"}
            for stage, width in enumerate(embed_dims)
        ]
        self.fill_convolutions()  # mmengine's `init_weights` logs every tensor
        self.reset_classifier(num_classes)

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the classifier by a new one, or by nothing for 0 classes."""
        self.num_classes = num_classes
        self.head = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def forward_intermediates(
        self, x: Tensor, indices: Any = None, intermediates_only: bool = False, **_: Any
    ) -> Any:
        """Return the maps of `indices`; unless `intermediates_only`, the last one before them."""
        maps = super().forward(x)
        found = [maps[i] for i in self._taken(indices)]
        return found if intermediates_only else (maps[-1], found)

    def prune_intermediate_layers(self, indices: Any, **_: Any) -> list[int]:
        """Remove the classifier, which an encoder does not need."""
        self.reset_classifier(0)
        return self._taken(indices)

    def _taken(self, indices: int | Sequence[int] | None) -> list[int]:
        """Return the stages that timm's `indices` mean: all, the last ones, or those listed."""
        stages = range(self.num_stages)
        if indices is None or isinstance(indices, int):
            return [*stages][-(indices or self.num_stages) :]
        return [stages[i] for i in indices]

    def forward_features(self, x: Tensor) -> Tensor:
        return super().forward(x)[-1]

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = x.mean((2, 3))
        return x if pre_logits else self.head(x)

    def forward(self, x: Tensor) -> Any:
        return self.forward_head(self.forward_features(x))


def _keys_of_ours(checkpoint: dict, model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a file of any source; `UserError` if one of the encoder's lacks."""
    state = state_dict_of(checkpoint)
    encoder = [k for k in model.state_dict() if not k.startswith("head.")]
    # Old files lack the counters, which nothing reads.
    needed = [k for k in encoder if not k.endswith("num_batches_tracked")]
    if missing := [k for k in needed if k not in state]:
        raise UserError(f"the weights of MSCAN lack {len(missing)} tensors, such as {missing[0]}")
    return {**{k: model.state_dict()[k] for k in encoder}, **state}


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
