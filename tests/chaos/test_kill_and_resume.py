"""The short form of the proof; the long one is the command itself, with --kills 50."""

import re

from run_tool import run_tool


def test_a_killed_run_ends_in_the_bits_of_an_untouched_one_with_0_and_with_2_workers():
    command = "../tests/chaos/kill_and_resume.py"
    result = run_tool(command, "--kills", "2", "--iters", "8", "--seed", "10")
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"survived 2 kills, [012] of them in a save", result.stdout), result.stdout
