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
from mmseg.structures import SegDataSample


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
    with pytest.raises(
        UserError,
        match=r"an image is a file's name, a PIL image or .*array of red, green, blue, " + found,
    ):
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
    assert isinstance(inference_model(model, picture), SegDataSample)
    assert len(inference_model(model, [picture, image])) == 2
    for predict in (inference_model, inference_segmentor):
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


def test_logits_are_there_on_request_and_their_highest_is_the_class(model, image):
    torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=3.0)
    plain, sample = inference_model(model, image), inference_model(model, image, with_logits=True)
    logits = sample.seg_logits.data
    assert logits.shape == (3, 40, 64)
    assert logits.dtype == torch.float32
    assert torch.equal(sample.pred_sem_seg.data[0], logits.argmax(0))
    assert (plain.pred_sem_seg.data == sample.pred_sem_seg.data).float().mean() > 0.999
    with pytest.raises(AttributeError, match=r"seg_logits: predict with .*with_logits=True"):
        _ = plain.seg_logits


def test_a_prediction_draws_itself_over_any_kind_of_image(model, image, tmp_path):
    Image.fromarray(image[..., ::-1]).save(tmp_path / "a.png")
    samples = inference_model(model, [tmp_path / "a.png", Image.open(tmp_path / "a.png"), image])
    expected = show_result_pyplot(model, image, samples[0], opacity=0.3, show=False)
    for sample in samples:
        assert (np.asarray(sample.plot(opacity=0.3)) == expected).all()


def test_a_file_a_pil_image_and_arrays_of_both_orders_are_the_same_image(model, image, tmp_path):
    turned = Image.fromarray(np.rot90(image[..., ::-1]))
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees
    turned.save(tmp_path / "a.png", exif=exif)
    given = [tmp_path / "a.png", Image.open(tmp_path / "a.png")]
    samples = inference_model(model, [*given, image], with_logits=True)
    samples.append(inference_model(model, image[..., ::-1], channels="rgb", with_logits=True))
    for sample in samples:
        assert torch.equal(sample.seg_logits.data, samples[0].seg_logits.data)
    with pytest.raises(UserError, match="channels='RGB': give 'bgr' or 'rgb'"):
        inference_model(model, image, channels="RGB")
