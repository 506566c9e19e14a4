"""What runs on a GPU if a config does not say."""

from types import SimpleNamespace

import pytest
import torch

from mmseg.ops import triton
from mmseg.ops.device import DEFAULTS, arranged, by_default


@pytest.mark.parametrize("on", [False, True])
@pytest.mark.parametrize("there", [False, True])
def test_a_choice_holds_only_where_there_is_a_gpu(monkeypatch, on, there):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setitem(DEFAULTS, "compile", (on, "a file"))
    assert by_default("compile") is (on and there)


def test_the_memory_format_on_a_gpu_follows_the_table_or_the_kernel(monkeypatch):
    x = SimpleNamespace(device=SimpleNamespace(type="cuda"), is_cuda=True, dtype=torch.float32)
    x.contiguous = lambda memory_format: memory_format
    monkeypatch.setattr(triton, "_loaded", dict.fromkeys(triton.KERNELS, object()))
    formats = []
    for on, kernels in ((False, []), (True, []), (False, ["depthwise"]), (False, ["class_map"])):
        monkeypatch.setitem(DEFAULTS, "channels_last", (on, ""))
        monkeypatch.setattr(triton, "_enabled", kernels)
        formats.append(arranged(x))
    contiguous, last = torch.contiguous_format, torch.channels_last
    assert formats == [contiguous, last, last, contiguous]


def test_a_choice_that_is_on_cites_its_measurement():
    assert all(file.endswith(".json") for on, file in DEFAULTS.values() if on)
