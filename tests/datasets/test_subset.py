"""Class-stratified subsets of the training images."""

import numpy as np
import pytest
from PIL import Image

from mmseg.datasets import BaseSegDataset, build_dataset
from mmseg.datasets.subset import stratified_subset
from mmseg.errors import UserError


@pytest.fixture
def presence():
    """400 images: class 0 nearly everywhere, class 4 in about 4 of them."""
    rng = np.random.default_rng(0)
    return rng.random((400, 5)) < [0.95, 0.6, 0.3, 0.1, 0.01]


IDS = [f"image_{i}" for i in range(400)]


def strata(presence):
    """The rarest class of every image; -1 for one without any."""
    counts = presence.sum(0)
    return np.array([min(np.flatnonzero(p), key=lambda k: counts[k], default=-1) for p in presence])


def test_choice_is_the_one_of_every_machine(presence):
    # Frozen: a change of the rule would change everyone's training images.
    assert stratified_subset(IDS[:60], presence[:60], 0.1, 0) == [13, 14, 36, 37, 38, 53, 55]
    assert stratified_subset(IDS, presence, 0.1, 0) != stratified_subset(IDS, presence, 0.1, 1)


def test_choice_does_not_depend_on_the_order_of_the_list(presence):
    order = np.random.default_rng(1).permutation(400)
    shuffled = [IDS[i] for i in order]
    chosen = {shuffled[i] for i in stratified_subset(shuffled, presence[order], 0.1, 0)}
    assert chosen == {IDS[i] for i in stratified_subset(IDS, presence, 0.1, 0)}


def test_every_stratum_gives_its_share_and_at_least_one(presence):
    # So the size is the fraction, but for one image per stratum.
    chosen = stratified_subset(IDS, presence, 0.1, 0)
    of_image = strata(presence)
    for stratum in np.unique(of_image):
        share = max(1, round((of_image == stratum).sum() * 0.1))
        assert (of_image[chosen] == stratum).sum() == share


@pytest.mark.parametrize("seed", range(5))
def test_every_class_is_present(presence, seed):
    chosen = stratified_subset(IDS, presence, 0.01, seed)
    assert presence[chosen].any(0).all()


@pytest.mark.parametrize("common", [[3], [3, 4]])
def test_classes_that_show_only_beside_rarer_ones_are_present(common):
    # Classes 0, 1 and 2 have four images each. The common ones are in two of each four.
    presence = np.zeros((12, 3 + len(common)), bool)
    presence[np.arange(12), np.arange(12) // 4] = True
    presence[:, common] = (np.arange(12) % 4 < 2)[:, None]
    for seed in range(100):
        chosen = stratified_subset(IDS[:12], presence, 0.25, seed)
        assert presence[chosen].any(0).all(), seed
        assert len(set(chosen)) == len(chosen), seed


def test_smaller_fraction_is_contained_in_a_larger_one(presence):
    chosen = [set(stratified_subset(IDS, presence, f, 0)) for f in (0.02, 0.1, 0.3, 1.0)]
    assert chosen[0] < chosen[1] < chosen[2] < chosen[3] == set(range(400))


def test_images_without_any_label_form_a_stratum_of_their_own():
    presence = np.zeros((20, 2), bool)
    presence[:10, 0] = presence[:4, 1] = True
    chosen = stratified_subset(IDS[:20], presence, 0.5, 0)
    assert sum(i >= 10 for i in chosen) == 5
    assert sum(i < 4 for i in chosen) == 2


def write_mask(folder, name, ids):
    mask = np.resize(np.array(ids, np.uint8), (48, 64))
    Image.fromarray(mask).save(folder / f"ann_dir/{name}.png")


def test_data_set_with_a_subset_holds_the_chosen_images(folder_config, image_folder):
    write_mask(image_folder, "b", [0])
    config = {**folder_config, "subset": {"fraction": 0.34, "seed": 0}}
    dataset = build_dataset(config)
    shown = {dataset.get_data_info(i)["img_path"][-5] for i in range(len(dataset))}
    assert len(dataset) == 2
    assert set(dataset.subset_ids) == shown
    assert "b" in shown


class OwnList(BaseSegDataset):
    def load_data_list(self):
        samples = super().load_data_list()
        return [{key: sample[key] for key in ("img_path", "seg_map_path")} for sample in samples]


def test_a_data_set_that_lists_its_samples_itself_has_the_same_subset(folder_config, image_folder):
    write_mask(image_folder, "b", [0])
    chosen = {"subset": {"fraction": 0.34, "seed": 0}}
    expected = build_dataset({**folder_config, **chosen})
    arguments = {k: v for k, v in folder_config.items() if k != "type"}
    dataset = OwnList(**arguments, **chosen)
    assert dataset.subset_ids == expected.subset_ids
    assert len(dataset) == len(expected) == 2


def test_a_subset_needs_the_files_of_masks(folder_config):
    images = {"img_path": "img_dir"}
    config = {**folder_config, "data_prefix": images, "subset": {"fraction": 0.5, "seed": 0}}
    with pytest.raises(UserError, match="subset needs masks"):
        build_dataset(config)
