PYTHON ?= python3
# The release this version was tested with; `make test TORCH=torch` takes the newest instead.
TORCH ?= torch==2.13.0
VENV := .venv
INSTALLED := $(VENV)/.installed
RUN := $(VENV)/bin/python
DEMO := local_configs/segnext/tiny/segnext.tiny.128x128.demo.py

.PHONY: demo docs lint test

test: lint
	$(RUN) -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -rs tests

demo: $(INSTALLED)
	$(RUN) tools/make_demo_scenes.py demo/archive
	$(RUN) tools/convert_datasets/landcover.py demo/archive --out demo/landcover
	$(RUN) tools/train.py $(DEMO) --work-dir demo/work
	$(RUN) tools/predict.py $(DEMO) demo/work/latest.pth "demo/landcover/img_dir/DEMO-8_*.jpg" \
		--out demo/predictions
	$(RUN) tools/test.py $(DEMO) demo/work/latest.pth --eval mIoU --work-dir demo/work \
		--show-dir demo/pictures
	$(RUN) tools/map_orthophoto.py $(DEMO) demo/work/latest.pth demo/archive/images/DEMO-8.tif \
		--out demo/map --polygons --min-area 5 --truth demo/archive/masks/DEMO-8.tif
	@echo "image, prediction, truth: demo/pictures/*.png"
	@echo "overlays of predictions: demo/predictions/overlay/*.png"
	@echo "scene, map and legend of a whole orthophoto: demo/map/DEMO-8.preview.png"

lint: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

docs: $(INSTALLED)
	$(VENV)/bin/mkdocs build --strict

$(INSTALLED): setup.py requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --editable ".[dev,docs,deploy]" "$(TORCH)"
	touch $@
