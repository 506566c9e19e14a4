"""The Python interface: what may be predicted, and what a prediction leaves as it was."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_project import write_project

from mmseg.apis import (
    inference_model,
    inference_segmentor,
    init_model,
    predict_images,
    show_result_pyplot,
)
from mmseg.errors import UserError
from mmseg.models import EncoderDecoder


@pytest.fixture
def model(tmp_path) -> EncoderDecoder:
    torch.manual_seed(0)
    write_project(tmp_path)
    return init_model(tmp_path / "tiny.py", device="cpu", fused=False)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)


def test_a_prediction_turns_gradients_off_for_itself_alone(model, image):
    predictions = predict_images(model, [image, image])
    assert not next(predictions).pred_sem_seg.data.requires_grad
    assert torch.is_grad_enabled()
    next(predictions)
    assert torch.is_grad_enabled()


def test_a_model_in_training_predicts_as_in_evaluation_and_stays_as_it_is(model, image):
    expected = inference_model(model, image).pred_sem_seg.data
    state = {key: value.clone() for key, value in model.state_dict().items()}
    model.train()
    model.backbone.block1[0].eval()  # a part of it may be frozen
    modes = [module.training for module in model.modules()]
    assert torch.equal(inference_model(model, image).pred_sem_seg.data, expected)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, "not NoneType"),
        (b"bytes of a file", "not int"),
        (torch.zeros(2, 2), "not Tensor"),
        (np.zeros((0, 5, 3), np.uint8), r"not \(0, 5, 3\) uint8"),
        (np.zeros((5, 5), np.uint8), r"not \(5, 5\) uint8"),
        (np.zeros((5, 5, 3)), r"not \(5, 5, 3\) float64"),
    ],
)
def test_what_is_no_image_is_named_by_its_kind(model, given, found):
    with pytest.raises(UserError, match=r"an image is a file's name or a .* BGR order, " + found):
        inference_model(model, given)


def test_a_picture_takes_what_either_prediction_returns_of_the_same_size(model, image):
    sample = inference_model(model, image)
    ids = sample.pred_sem_seg.data[0].numpy()
    pictures = [
        show_result_pyplot(model, image, result, show=False) for result in (sample, [sample], [ids])
    ]
    assert all((picture == pictures[0]).all() for picture in pictures)
    with pytest.raises(UserError, match="of an image of 64x40 pixels, this one has 64x30"):
        show_result_pyplot(model, image[:30], sample, show=False)


def test_a_model_of_more_classes_than_its_data_is_refused(model):
    model.cfg.model.decode_head.num_classes = 5
    with pytest.raises(UserError, match=r"num_classes=5, but the data set has 3 classes: set"):
        init_model(model.cfg, device="cpu")


def test_a_config_may_be_a_dictionary_with_test_data(model, image):
    content = model.cfg.to_dict()
    other = init_model(content, device="cpu", fused=False)
    other.load_state_dict(model.state_dict())
    expected = inference_model(model, image).pred_sem_seg.data
    assert torch.equal(inference_model(other, image).pred_sem_seg.data, expected)
    del content["test_dataloader"]
    with pytest.raises(UserError, match="the config has no test_dataloader"):
        init_model(content, device="cpu")


def test_one_image_or_several_are_told_apart_in_both_interfaces(model, image):
    picture = Image.fromarray(image)
    for predict in (inference_model, inference_segmentor):
        with pytest.raises(UserError, match="not Image"):
            predict(model, picture)
        assert predict(model, []) == []
        assert len(predict(model, iter([image, image[:20]]))) == 2


def test_a_checkpoint_of_classes_in_another_order_is_a_warning(model, tmp_path, warnings):
    meta = {"dataset_meta": {"classes": ["Ground ", "roof", "tree"], "palette": [[0] * 3] * 3}}
    path = tmp_path / "model.pth"
    torch.save({"state_dict": model.state_dict(), "meta": {**meta, "nmf_rank": 4}}, path)
    init_model(model.cfg, path, "cpu")
    assert warnings == []
    meta["dataset_meta"]["classes"] = ["ground", "tree", "roof"]
    torch.save({"state_dict": model.state_dict(), "meta": {**meta, "nmf_rank": 4}}, path)
    init_model(model.cfg, path, "cpu")
    assert warnings == [
        f"{path}: 2 of 3 classes have other names than in the config's data set: "
        "class 1 is 'tree', there 'roof'"
    ]


def test_a_model_is_fused_unless_asked_for_plain(model, image, tmp_path):
    path = tmp_path / "model.pth"
    torch.save({"state_dict": model.state_dict(), "meta": {"nmf_rank": 4}}, path)
    fused = init_model(model.cfg, path, "cpu")
    assert type(fused.backbone) is not type(model.backbone)
    assert fused.cfg.to_dict() == model.cfg.to_dict()
    assert fused.dataset_meta == model.dataset_meta
    results = [inference_model(each, image).pred_sem_seg.data for each in (model, fused)]
    assert (results[0] == results[1]).float().mean() > 0.99
    with pytest.raises(UserError, match=r"fused model .* init_model\(\.\.\., fused=False\)"):
        fused.train()
