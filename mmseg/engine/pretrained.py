"""Where the weights of a backbone come from before training: `init_cfg`."""

from pathlib import Path

from torch import nn

from mmseg.checkpoints.dialects import state_dict_of
from mmseg.checkpoints.files import read_checkpoint
from mmseg.checkpoints.loading import check_fit, load_state
from mmseg.compat.names import registered_names
from mmseg.errors import UserError
from mmseg.registry import WEIGHT_INITIALIZERS


@WEIGHT_INITIALIZERS.register_module(name=registered_names("PretrainedBackbone"))
class PretrainedBackbone:
    """Initialise a backbone from the file `checkpoint` or, if it is absent, from `url`.

    The file may also hold a full model, whose backbone is taken, or a classifier, whose `head.*` is
    left out. `UserError` if there are no weights or if they do not fit: a run that asked for
    ImageNet weights never trains without them. As `Pretrained` it also stands for mmengine's class,
    so that no file which `init_cfg` names is unpickled without limits.
    """

    def __init__(self, checkpoint: str, url: str | None = None) -> None:
        self.checkpoint = checkpoint
        self.url = url

    def __call__(self, module: nn.Module) -> None:
        source = self.checkpoint
        if self.url and not Path(source).is_file():
            source = self.url
        try:
            content = read_checkpoint(source)
        except UserError as error:
            if Path(source).is_file():
                raise
            raise self._absent(error) from error
        state = state_dict_of(content)
        prefix = "backbone."
        if any(key.startswith(prefix) for key in state):
            state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        load_state(module, state, check_fit(module, state, source), source, "backbone")

    def _absent(self, error: UserError) -> UserError:
        return UserError(
            f"no ImageNet weights: {error}; put that file at {Path(self.checkpoint).absolute()}, "
            "or train without it (model.backbone.init_cfg=None): the configs whose names end in "
            "_nopre need none"
        )
