"""What the tests share: tiny models, tiny data and the folder of real data."""

import os
from pathlib import Path

# As the tools do; see tools/common.py.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
import torch

torch.set_num_threads(2)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data; the test is skipped where there is none."""
    if "SEGNEXT_TEST_DATA" not in os.environ:
        pytest.skip("SEGNEXT_TEST_DATA is not set: no real data on this machine")
    return Path(os.environ["SEGNEXT_TEST_DATA"])
