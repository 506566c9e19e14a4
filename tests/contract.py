"""The contract of every backbone and head; docs/extending.md says how yours is put through it."""

import inspect

import pytest
import torch
from random_weights import random_weights

from mmseg.checkpoints.files import write_checkpoint
from mmseg.checkpoints.loading import load_model_weights
from mmseg.errors import UserError
from mmseg.inference import fuse
from mmseg.registry import MODELS
from mmseg.structures import PixelData, SegDataSample

BACKBONE = {"type": "MSCAN", "embed_dims": (4, 8, 8, 8), "depths": (1, 1, 1, 1)}
HEAD = {
    "type": "LightHamHead",
    "in_channels": (8, 8, 8),
    "channels": 32,
    "ham_channels": 32,
    "ham_kwargs": {"MD_R": 2},
    "num_classes": 3,
}


def image(batch: int = 2, height: int = 64, width: int = 96, channels: int = 3) -> torch.Tensor:
    torch.manual_seed(batch)
    return torch.randn(batch, channels, height, width)


def same(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Equal but for what float32 rounds."""
    return bool((found - expected).abs().max() <= 1e-3 * expected.abs().max())


class ModelContract:
    """Derive a test class, and give it your `backbone`, your `decode_head` or both, as in a config.

    The other part is a tiny MSCAN of widths 4, 8, 8, 8, or a tiny LightHamHead.
    """

    backbone: dict = BACKBONE
    decode_head: dict = HEAD

    def build(self, **backbone):
        """A new model in evaluation mode, with weights at which every path counts."""
        parts = {"backbone": {**self.backbone, **backbone}, "decode_head": self.decode_head}
        model = MODELS.build({"type": "EncoderDecoder", **parts})
        model.load_state_dict(random_weights(model))
        return model.eval()

    @pytest.fixture
    def model(self):
        return self.build()

    @torch.no_grad()
    def test_logits_are_finite_and_the_same_bits_twice(self, model):
        logits = model(image())
        assert logits.shape[:2] == (2, self.decode_head["num_classes"])
        assert logits.dtype == torch.float32 and logits.isfinite().all()
        assert torch.equal(logits, model(image()))
        assert logits.std(dim=(0, 2, 3)).min() > 0

    @pytest.mark.parametrize("batch", [1, 2])
    def test_every_parameter_gets_a_finite_gradient(self, model, batch):
        model.train()
        labels = torch.arange(64 * 96).view(1, 64, 96) % self.decode_head["num_classes"]
        sample = SegDataSample(gt_sem_seg=PixelData(data=labels))
        loss, _ = model.parse_losses(model.loss(image(batch), [sample] * batch))
        loss.backward()
        grads = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
        assert [name for name, grad in grads.items() if grad is None] == []
        assert all(grad.isfinite().all() for grad in grads.values())
        assert any(grad.any() for name, grad in grads.items() if name.startswith("backbone."))

    @torch.no_grad()
    def test_an_image_of_odd_size_is_predicted_alone_as_in_a_batch(self, model):
        sizes = {"ori_shape": (61, 83), "img_shape": (61, 83)}
        x = image(2, 61, 83)
        (sample,) = model.predict([x[0]], [SegDataSample(metainfo=sizes)])
        assert sample.pred_sem_seg.data.shape == (1, 61, 83)
        assert same(model(x[:1]), model(x)[:1])

    @torch.no_grad()
    def test_images_may_have_another_number_of_channels(self):
        if "in_channels" not in inspect.signature(MODELS.get(self.backbone["type"])).parameters:
            pytest.skip("the backbone has no in_channels")
        model = self.build(in_channels=5)
        assert model(image(1, channels=5)).isfinite().all()

    @torch.no_grad()
    @pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
    def test_a_saved_model_gives_the_same_bits(self, model, tmp_path, suffix):
        write_checkpoint(tmp_path / f"m{suffix}", model.state_dict(), {"nmf_rank": 2})
        other = self.build()
        for parameter in other.parameters():
            parameter.zero_()
        load_model_weights(other, tmp_path / f"m{suffix}")
        assert torch.equal(other(image()), model(image()))

    @pytest.mark.parametrize("part", ["backbone.", "decode_head."])
    def test_a_file_that_lacks_a_parameter_is_refused_by_its_name(self, model, tmp_path, part):
        state = model.state_dict()
        lost = [key for key, _ in model.named_parameters() if key.startswith(part)][-1]
        del state[lost]
        write_checkpoint(tmp_path / "m.pth", state, {"nmf_rank": 2})
        with pytest.raises(UserError, match=lost):
            load_model_weights(model, tmp_path / "m.pth")

    @torch.no_grad()
    def test_an_exported_program_gives_its_logits(self, model):
        program = torch.export.export(model, (image(),)).module()
        assert same(program(image() + 1), model(image() + 1))

    @torch.no_grad()
    def test_it_compiles_in_one_graph(self, model):
        torch.compiler.reset()
        compiled = torch.compile(model.logits, fullgraph=True, backend="eager")
        assert same(compiled(image()), model(image()))

    def test_fusing_keeps_the_logits_and_the_plain_model(self, model):
        before = {key: value.clone() for key, value in model.state_dict().items()}
        with torch.no_grad():
            assert same(fuse(model)(image()), model(image()))
        assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())

    @torch.no_grad()
    def test_the_memory_format_changes_nothing(self, model):
        expected = model(image())
        x = image().contiguous(memory_format=torch.channels_last)
        assert same(model.to(memory_format=torch.channels_last)(x), expected)
