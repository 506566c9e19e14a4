"""A config of an earlier version of this project is read, and one line says what changed."""

import re
from pathlib import Path

import pytest

from mmseg.config import load_config
from mmseg.errors import UserError

LEAF = Path(__file__).parents[2] / "local_configs/segnext/tiny/segnext.tiny.512x512.ade.160k.py"


@pytest.mark.parametrize(
    ("value", "triton", "told"),
    [
        (True, False, "fast_ops=True is a key of an earlier version: the key is ignored"),
        (False, False, "fast_ops=False is a key of an earlier version: the key is ignored"),
        ("triton", True, "fast_ops='triton' .*: triton_kernels=True is set; remove it from"),
    ],
)
@pytest.mark.parametrize("in_file", [True, False])
def test_fast_ops_is_taken_out_with_one_line(tmp_path, log, value, triton, told, in_file):
    path = tmp_path / "old.py"
    added = f"fast_ops = {value!r}\n" if in_file else ""
    path.write_text(f"_base_ = {str(LEAF)!r}\n{added}")
    config = load_config(path, None if in_file else {"fast_ops": value})
    assert "fast_ops" not in config
    assert config.get("triton_kernels", False) is triton
    (line,) = [line for line in log.read().splitlines() if "fast_ops" in line]
    assert re.search(told, line)


def test_triton_kernels_is_a_choice_of_two():
    with pytest.raises(UserError, match=r"triton_kernels='cuda': give True or False"):
        load_config(LEAF, {"triton_kernels": "cuda"})
