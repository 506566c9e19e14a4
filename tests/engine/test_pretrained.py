"""`init_cfg` of a user's own class reads checkpoints as safely as ours."""

import os

import pytest
import torch
from mmengine.model import BaseModule
from torch import nn

from mmseg.errors import UserError


class OwnBackbone(BaseModule):
    """As a tutorial of mmengine writes one."""

    def __init__(self, checkpoint):
        super().__init__(init_cfg={"type": "Pretrained", "checkpoint": str(checkpoint)})
        self.conv = nn.Conv2d(3, 2, 1)


class MakesAFolder:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_that_a_pretrained_file_holds_is_run(tmp_path):
    own = OwnBackbone(tmp_path / "x.pth")
    content = {**own.state_dict(), "extra": MakesAFolder(tmp_path / "ran")}
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(UserError, match="nothing in it was run"):
        own.init_weights()
    assert not (tmp_path / "ran").exists()


def test_the_weights_of_a_pretrained_file_are_loaded_or_refused(tmp_path):
    own = OwnBackbone(tmp_path / "x.pth")
    weight = torch.ones(2, 3, 1, 1)
    torch.save({"conv.weight": weight, "conv.bias": torch.zeros(2)}, tmp_path / "x.pth")
    own.init_weights()
    assert torch.equal(own.conv.weight, weight)
    torch.save({"conv.weight": weight}, tmp_path / "x.pth")
    with pytest.raises(UserError, match=r"1 of 2 tensors fit, .*conv\.bias"):
        OwnBackbone(tmp_path / "x.pth").init_weights()
