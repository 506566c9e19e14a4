"""Every config that is shipped: its model fits its data, and its numbers are those of its size."""

import ast
import json
import re
from functools import lru_cache
from pathlib import Path

import pytest
import torch

from mmseg import config as configs
from mmseg.registry import DATASETS, MODELS

ROOT = Path(__file__).parents[2] / "local_configs"
LEAVES = sorted((ROOT / "segnext").rglob("*.py"))
SIZES = {
    # rank, drop path, width of the decoder, depths
    "tiny": (16, 0.1, 256, (3, 3, 5, 2)),
    "small": (16, 0.1, 256, (2, 2, 4, 2)),
    "base": (64, 0.1, 512, (3, 3, 12, 3)),
    "large": (64, 0.3, 1024, (3, 5, 27, 3)),
}
TASKS = {"ade.160k": 160_000, "voc.40k": 40_000, "landcover.40k_weight": 40_000}
NAMES = {
    f"{size}/segnext.{size}.512x512.{task}{variant}.py"
    for size in SIZES
    for task in TASKS
    for variant in ("", "_sub", "_sub_nopre")
}
OFFICIAL = sorted(NAMES)

# For tests that only read them.
load_config = lru_cache(configs.load_config)


def test_the_36_configs_have_their_names():
    assert len(NAMES) == 36
    assert {str(leaf.relative_to(ROOT / "segnext")) for leaf in LEAVES} >= NAMES


def bases(path):
    """The files that a config inherits from, directly and indirectly."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_base_":
            value = ast.literal_eval(node.value)
            for name in [value] if isinstance(value, str) else value:
                base = (path.parent / name).resolve()
                found |= {base} | bases(base)
    return found


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda p: p.stem)
def test_config_inherits_from_its_own_size_only(leaf):
    size = leaf.parent.name
    named = {s for base in bases(leaf) for s in SIZES if s in base.name or base.parent.name == s}
    assert named == {size}


@lru_cache
def channels_of(backbone):
    """The widths of the maps of a backbone, of which the configs have four."""
    with torch.device("meta"):
        encoder = MODELS.build(json.loads(backbone))
        return [x.shape[1] for x in encoder(torch.rand(2, encoder.in_channels, 64, 64))]


SMALL = {"type": "MSCAN", "embed_dims": (8, 8, 8, 8), "depths": (1, 1, 1, 1)}


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda p: p.stem)
def test_model_of_the_config_fits_its_data_and_backbone(leaf):
    config = load_config(leaf)
    channels = channels_of(json.dumps({**config.model.backbone, "init_cfg": None}, sort_keys=True))
    with torch.device("meta"):
        head = MODELS.build({**config.model, "backbone": SMALL}).decode_head
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        info = loader.dataset.get("metainfo") or DATASETS.get(loader.dataset.type).METAINFO
        assert len(info["classes"]) == head.num_classes
    assert tuple(channels[i] for i in head.in_index) == tuple(head.in_channels)
    steps = {step.type: step for step in config.train_dataloader.dataset.pipeline}
    crop_size = steps["RandomScaleCropFlip"].crop_size
    assert tuple(config.model.data_preprocessor.size) == tuple(crop_size)
    assert steps["PhotoMetricDistortion"].on_device


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda p: p.stem)
def test_config_has_the_numbers_of_its_size(leaf):
    rank, drop_path, width, depths = SIZES[leaf.parent.name]
    model = load_config(leaf).model
    assert tuple(model.backbone.depths) == depths
    assert model.decode_head.ham_kwargs["MD_R"] == rank
    assert model.decode_head.ham_channels == model.decode_head.channels == width
    assert model.decode_head.dropout_ratio == 0.1
    if "demo" not in leaf.name:
        assert model.backbone.drop_path_rate == drop_path


@pytest.mark.parametrize("name", OFFICIAL)
def test_config_trains_by_the_recipe(name):
    config = load_config(ROOT / "segnext" / name)
    assert config.train_dataloader.batch_size == 16
    task = re.search(r"512x512\.(.*?)(_sub.*)?\.py", name).group(1)
    assert config.train_cfg.max_iters == TASKS[task]
    assert tuple(config.model.data_preprocessor.size) == (512, 512)
    optimizer = config.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ("AdamW", 6e-5, 0.01)
    assert tuple(optimizer.betas) == (0.9, 0.999)
    assert config.default_hooks.summary.base_batch_size == 16


@pytest.mark.parametrize("name", OFFICIAL)
def test_name_tells_the_weights_the_subset_and_the_pretraining(name):
    config = load_config(ROOT / "segnext" / name)
    losses = config.model.decode_head.loss_decode
    weight = losses.get("class_weight")
    if "_weight" in name:
        assert len(weight) == config.model.decode_head.num_classes
    else:
        assert weight is None
    subset = config.train_dataloader.dataset.get("subset")
    if "_sub" in name:
        assert 0 < subset.fraction < 1
        assert "seed" in subset
    else:
        assert subset is None
    assert config.val_dataloader.dataset.get("subset") is None
    init = config.model.backbone.init_cfg
    if "_nopre" in name:
        assert init is None
    else:
        size = name.split("/")[0][0]
        assert init.type == "PretrainedBackbone"
        assert init.checkpoint == f"pretrained/mscan_{size}.pth"
        # The published URL ends in the first digits of the hash, which is checked.
        assert re.search(rf"/mscan_{size}_\d{{8}}-[0-9a-f]{{8}}\.pth$", init.url)


@pytest.mark.parametrize("name", [name for name in OFFICIAL if "landcover" not in name])
def test_testing_keeps_the_ratio_and_stretches_to_a_multiple_of_32(name):
    for loader in ("val_dataloader", "test_dataloader"):
        config = load_config(ROOT / "segnext" / name)
        steps = config[loader].dataset.pipeline
        assert [s.type for s in steps] == [
            *("LoadImageFromFile", "Resize", "ResizeToMultiple", "LoadAnnotations"),
            "PackSegInputs",
        ]
        assert steps[1].keep_ratio
        assert steps[2].size_divisor == 32
        assert tuple(steps[1].scale) == (2048, 512)


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda p: p.stem)
def test_aerial_images_are_tested_at_their_own_size(leaf):
    config = load_config(leaf)
    aerial = any(name in leaf.name for name in ("landcover", "loveda", "isaid", "demo"))
    for loader in ("val_dataloader", "test_dataloader"):
        resize = config[loader].dataset.pipeline[1]
        found = resize.get("scale_factor"), "scale" in resize
        assert found == ((1.0, False) if aerial else (None, True))
    if "landcover" in leaf.name:  # as they are mapped: in windows of the crop
        crop_size = config.model.data_preprocessor.size
        assert tuple(config.model.test_cfg.crop_size) == tuple(crop_size)
        assert config.train_dataloader.dataset.pipeline[2].scale is None


def test_voc_trains_on_the_augmented_masks():
    config = load_config(ROOT / "segnext/tiny/segnext.tiny.512x512.voc.40k.py")
    dataset = config.train_dataloader.dataset
    assert dataset.ann_file.endswith("trainaug.txt")
    assert dataset.data_prefix.seg_map_path == "SegmentationClassAug"
    assert config.val_dataloader.dataset.data_prefix.seg_map_path == "SegmentationClass"
