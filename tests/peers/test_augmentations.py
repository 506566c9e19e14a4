"""The augmentations by MMSegmentation's names: labels follow the image, and seeds decide."""

import cv2
import numpy as np
import pytest
from mmengine.dataset import BaseDataset
from PIL import Image

from mmseg.datasets.transforms import LoadAnnotations
from mmseg.errors import UserError
from mmseg.peers.datasets import MultiImageMixDataset
from mmseg.randomness import Draw
from mmseg.registry import TRANSFORMS

SIDES = (40, 56)


def sample(size=SIDES):
    """An image whose three bands are the labels, so that both must stay alike."""
    labels = np.arange(size[0] * size[1]).reshape(size) // 97 % 7
    labels = labels.astype(np.uint8)
    image = np.stack([20 * labels] * 3, axis=2)
    return {"img": image, "gt_seg_map": labels, "seg_fields": ["gt_seg_map"], "img_shape": size}


def run(results=None, seed=0, **config):
    np.random.seed(seed)
    return TRANSFORMS.build(config)(results or sample())


GEOMETRIC = [
    {"type": "RandomRotFlip", "rotate_prob": 0.0, "flip_prob": 1.0},
    {"type": "RandomRotate", "prob": 1.0, "degree": (90, 90), "auto_bound": True},
]


@pytest.mark.parametrize("config", GEOMETRIC, ids=lambda c: c["type"])
@pytest.mark.parametrize("seed", range(4))
def test_labels_move_with_the_image(config, seed):
    found = run(seed=seed, **config)
    assert found["img_shape"] == found["img"].shape[:2] == found["gt_seg_map"].shape
    inside = found["gt_seg_map"] != 255
    assert inside.mean() > 0.9
    assert (found["img"][..., 0] == 20 * found["gt_seg_map"])[inside].all()
    assert not np.array_equal(found["gt_seg_map"], sample()["gt_seg_map"])


@pytest.mark.parametrize("kind", ["RandomRotate", "RandomRotFlip"])
def test_rotated_labels_are_ids_of_before_or_ignored(kind):
    chance = {"prob": 1.0} if kind == "RandomRotate" else {"rotate_prob": 1.0}
    found = run(type=kind, degree=(33, 34), **chance)
    assert set(np.unique(found["gt_seg_map"])) <= {*range(7), 255}
    assert (found["gt_seg_map"][0, 0], found["img"][0, 0, 0]) == (255, 0)


def test_cut_out_fills_both_and_leaves_the_source_as_it_was():
    before = sample()
    image = before["img"].copy()
    before["img"].flags.writeable = False  # as a cache in memory gives it
    shape = {"n_holes": 2, "cutout_shape": (8, 4), "fill_in": (1, 2, 3), "seg_fill_in": 255}
    found = run(dict(before), type="RandomCutOut", prob=1.0, **shape)
    holes = (found["img"] == (1, 2, 3)).all(2)
    assert 0 < holes.sum() <= 2 * 8 * 4
    assert np.array_equal(holes, found["gt_seg_map"] == 255)
    assert np.array_equal(before["img"], image)


def test_colours_follow_their_formulas():
    image = sample()["img"]
    gamma = run(type="AdjustGamma", gamma=2.0)["img"]
    assert np.array_equal(gamma, np.floor(255 * (image / 255) ** 0.5 + 1e-9))
    stretched = run(type="Rerange", min_value=10, max_value=20)["img"]
    np.testing.assert_allclose(stretched, 10 + image / 12, rtol=1e-6)
    grey = run(type="RGB2Gray", weights=(0.5, 0.25, 0.0), out_channels=1)["img"]
    np.testing.assert_allclose(grey, 0.75 * image[..., :1])
    equal = run(type="CLAHE", clip_limit=4.0)["img"]
    expected = cv2.createCLAHE(4.0, (8, 8)).apply(image[..., 1].copy())
    assert np.array_equal(equal[..., 1], expected)


def test_sides_follow_the_shortest_edge_and_the_longest_allowed():
    assert run(type="ResizeShortestEdge", scale=20, max_size=100)["img"].shape[:2] == (20, 28)
    assert run(type="ResizeShortestEdge", scale=20, max_size=14)["gt_seg_map"].shape == (10, 14)
    assert run(type="SegRescale", scale_factor=0.5)["gt_seg_map"].shape == (20, 28)


def test_four_images_meet_at_the_centre_of_a_mosaic():
    def plain(value, size):
        image = np.full((*size, 3), value, np.uint8)
        return {"img": image, "gt_seg_map": image[..., 0] // 50}

    others = [
        plain(value, size) for value, size in ((100, (9, 30)), (150, (40, 40)), (200, (8, 8)))
    ]
    results = {**plain(50, (20, 20)), "mix_results": others}
    options = {"prob": 1.0, "img_scale": (20, 20), "center_ratio_range": (1.0, 1.0)}
    found = run(results, type="RandomMosaic", **options)
    labels = found["gt_seg_map"]
    assert labels.shape == found["img_shape"] == (40, 40)
    assert [labels[19, 19], labels[19, 20], labels[20, 19], labels[20, 20]] == [1, 2, 3, 4]
    inside = labels != 255
    assert (found["img"][..., 0] == 50 * labels)[inside].all()
    assert (labels[:14, 20:] == 255).all()  # the wide image is 20 x 6


class Plain(BaseDataset):
    """A data set of images of one value each."""

    metainfo = {"classes": ("a",)}

    def __init__(self):
        self._fully_initialized = True

    def __len__(self):
        return 50

    def full_init(self):
        pass

    def __getitem__(self, index):
        image = np.full((8, 8, 3), index, np.uint8)
        return {"img": image, "gt_seg_map": image[..., 0]}


def test_a_mosaic_depends_on_the_seed_of_its_draw_alone():
    data = MultiImageMixDataset(
        Plain(), [{"type": "RandomMosaic", "prob": 1.0, "img_scale": (8, 8)}]
    )
    first, other, again = (data[Draw(7, seed)]["img"] for seed in (1, 2, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert 7 in first and len(np.unique(first)) >= 4
    assert len(data) == 50


@pytest.mark.parametrize(
    "config",
    [
        {"type": "RandomRotate", "prob": 1.5, "degree": 10},
        {"type": "RandomRotate", "prob": 0.5, "degree": -10},
        {"type": "RandomCutOut", "prob": 0.5, "n_holes": (5, 3), "cutout_shape": (8, 8)},
        {"type": "RandomCutOut", "prob": 0.5, "n_holes": 1},
        {"type": "RandomMosaic", "prob": 1.0, "img_scale": 640},
        {
            "type": "RandomCutOut",
            "prob": 1,
            "n_holes": 1,
            "cutout_shape": (8, 8),
            "seg_fill_in": 256,
        },
        {"type": "RandomRotFlip", "flip_prob": -0.1},
        {"type": "AdjustGamma", "gamma": 0},
        {"type": "Rerange", "min_value": 2, "max_value": 1},
        {"type": "RGB2Gray", "out_channels": 0},
    ],
    ids=str,
)
def test_a_value_that_cannot_work_is_refused(config):
    with pytest.raises(UserError):
        TRANSFORMS.build(config)


def test_albu_names_the_package_that_it_needs(monkeypatch):
    monkeypatch.setattr("mmseg.peers.transforms.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install albumentations"):
        TRANSFORMS.build({"type": "Albu", "transforms": []})


def test_albu_moves_labels_with_the_rgb_image_and_depends_on_the_seed():
    pytest.importorskip("albumentations")
    steps = [{"type": "OneOf", "transforms": [{"type": "RandomRotate90", "p": 1.0}], "p": 1.0}]
    turned = [run(seed=seed, type="Albu", transforms=steps) for seed in (0, 1, 2, 3, 4, 0)]
    for each in turned:
        assert np.array_equal(each["img"][..., 0], 20 * each["gt_seg_map"])
    assert np.array_equal(turned[0]["img"], turned[-1]["img"])
    assert len({each["img"].tobytes() for each in turned}) > 1
    shift = {"r_shift_limit": (50, 50), "g_shift_limit": 0, "b_shift_limit": 0, "p": 1.0}
    red = run(type="Albu", transforms=[{"type": "RGBShift", **shift}])["img"].astype(int)
    assert np.array_equal(red - sample()["img"], np.full((*SIDES, 3), (0, 0, 50)))


def test_an_image_in_memory_is_taken_as_it_is():
    given = sample()
    found = TRANSFORMS.build({"type": "LoadImageFromNDArray"})(given)
    assert found["img"] is given["img"] and found["ori_shape"] == SIDES


def test_a_mask_is_read_without_a_data_set(tmp_path):
    Image.fromarray(np.array([[0, 1], [2, 255]], np.uint8)).save(tmp_path / "a.png")
    given = {"seg_map_path": str(tmp_path / "a.png")}
    assert LoadAnnotations()(dict(given))["gt_seg_map"].tolist() == [[0, 1], [2, 255]]
    found = LoadAnnotations(reduce_zero_label=True)({**given, "label_map": {1: 7}})
    assert found["gt_seg_map"].tolist() == [[255, 0], [7, 255]]


class FromTheName(LoadAnnotations):
    """As the guides write it: masks that are no images of ids."""

    def __init__(self, reduce_zero_label=None, backend_args=None, imdecode_backend="pillow"):
        super().__init__(
            reduce_zero_label=reduce_zero_label,
            imdecode_backend=imdecode_backend,
            backend_args=backend_args,
        )

    def _load_seg_map(self, results):
        results["gt_seg_map"] = np.full(SIDES, int(results["seg_map_path"]), np.uint8)
        results["seg_fields"].append("gt_seg_map")


def test_a_subclass_that_loads_its_own_masks_is_asked_and_listed_once():
    found = FromTheName()({"seg_map_path": "3", "img_path": "a"})
    assert (found["gt_seg_map"] == 3).all() and found["seg_fields"] == ["gt_seg_map"]
