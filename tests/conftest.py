"""Loads what the tests share, except in the process that only hands tests out to others."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        config.pluginmanager.import_plugin("shared_fixtures")  # takes seconds: it imports torch
