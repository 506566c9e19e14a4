"""The short form of the proof; the long one is the command itself, with --kills 50."""

import re
import subprocess
import sys
from pathlib import Path

COMMAND = Path(__file__).with_name("kill_and_resume.py")


def test_a_killed_run_ends_in_the_bits_of_an_untouched_one_with_0_and_with_2_workers():
    command = [sys.executable, str(COMMAND), "--kills", "4", "--iters", "10", "--seed", "1"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"survived 4 kills, [12] of them in a save", result.stdout), result.stdout
