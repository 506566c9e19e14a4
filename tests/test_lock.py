"""A folder that one process holds."""

import os

import pytest

from mmseg.errors import UserError
from mmseg.lock import sole_process


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path, held_elsewhere):
    with held_elsewhere(tmp_path / "run") as holder:
        message = rf"run: process {holder.pid} of \S+ trains here; .*or choose another --work-dir"
        with pytest.raises(UserError, match=message):
            sole_process(tmp_path / "run", "trains here", "--work-dir").__enter__()
        holder.kill()
        holder.join()
        with sole_process(tmp_path / "run", "trains here", "--work-dir"):
            assert (tmp_path / "run/.lock").read_text().startswith(f"{os.getpid()} of ")
