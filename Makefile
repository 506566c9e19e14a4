PYTHON ?= python3
# The release this version was tested with; `make test TORCH=torch` takes the newest instead.
TORCH ?= torch==2.13.0
VENV := .venv
INSTALLED := $(VENV)/.installed
RUN := $(VENV)/bin/python

.PHONY: demo test lint clean

test: lint
	$(RUN) -m pytest tests

lint: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

$(INSTALLED): setup.py requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --editable ".[dev]" "$(TORCH)"
	touch $@
