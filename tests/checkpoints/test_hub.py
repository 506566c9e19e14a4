"""Models on the Hugging Face Hub: published, loaded again, and refused. Nothing needs a network."""

import hashlib
import http.server
import json
import re
import threading
from functools import partial
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from huggingface_hub import HfApi, constants
from run_tool import call_tool
from tiny_project import write_project

from mmseg.apis import inference_model, init_model
from mmseg.checkpoints.files import read_checkpoint, write_checkpoint
from mmseg.errors import UserError
from mmseg.evaluation.per_image import ImageCounts

CLASSES = ["ground", "roof", "tree"]
LICENCES = ("--license", "cc-by-4.0", "own photos, CC0")
PUBLISH = ("publish_model.py", "m.pth", "again", "--config", "tiny.py", *LICENCES, "--to-hub")
# Confusion matrices of two images of two places, rows: truth.
MATRICES = np.array([[[5, 1, 0], [2, 6, 0], [0, 0, 9]], [[4, 0, 1], [0, 3, 2], [1, 0, 7]]])


def store(repo: str, files: dict[str, bytes]) -> None:
    """Lay files into the cache of the Hub as a download does."""
    folder = Path(constants.HF_HUB_CACHE, f"models--{repo.replace('/', '--')}")
    commit = hashlib.sha1(repo.encode()).hexdigest()
    for path in (folder / "refs", folder / "blobs", folder / "snapshots" / commit):
        path.mkdir(parents=True)
    (folder / "refs/main").write_text(commit)
    for name, data in files.items():
        blob = folder / "blobs" / hashlib.sha256(data).hexdigest()
        blob.write_bytes(data)
        (folder / "snapshots" / commit / name).symlink_to(blob)


def upload(api, repo_id, folder_path, allow_patterns):
    """Stand in for `HfApi.upload_folder`."""
    found = [path for path in sorted(folder_path.iterdir()) if path.name in allow_patterns]
    store(repo_id, {path.name: path.read_bytes() for path in found})


def write_test(folder: Path, digest: str) -> None:
    """Write what tools/test.py keeps of a test of the file with this sha256."""
    images = [
        (f"/d/{i}.png", f"/m/{i}.png", f"{i}", np.flatnonzero(m), m[m != 0])
        for i, m in enumerate(MATRICES)
    ]
    folder.mkdir()
    ImageCounts.of(CLASSES, images).save(folder / "eval_m.images.npz")
    content = {"classes": CLASSES, "summary": {}, "run": {"sha256": digest}}
    (folder / "eval_m.json").write_text(json.dumps(content))


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """A project whose model is published as me/fields, and the cache of a Hub without network."""
    folder = tmp_path_factory.mktemp("hub")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        patch.setattr(constants, "HF_TOKEN_PATH", str(folder / "no_token"))
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
            patch.delenv(name, raising=False)
        write_project(folder)
        torch.manual_seed(0)
        model = init_model("tiny.py", device="cpu", fused=False)
        names = {"classes": CLASSES, "gsd": 0.25, "temperature": 1.5}
        write_checkpoint("m.pth", model.state_dict(), {"nmf_rank": 4, "dataset_meta": names})
        write_test(folder / "tested", hashlib.sha256(Path("m.pth").read_bytes()).hexdigest())
        write_test(folder / "other", "0" * 64)
        Path("out").mkdir()
        for name in ("private.txt", "model.safetensors"):  # of an earlier call
            Path("out", name).write_text("not for others")
        with pytest.MonkeyPatch.context() as stand_in:
            stand_in.setattr(HfApi, "create_repo", lambda *args, **kwargs: None)
            stand_in.setattr(HfApi, "upload_folder", upload)
            words = [{"again": "out"}.get(word, word) for word in PUBLISH]
            assert call_tool(*words, "me/fields", "--eval", "tested/eval_m.json") is None
        yield folder


def test_a_model_of_the_hub_gives_the_bits_of_its_config_and_checkpoint():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((64, 64), (45, 71))]
    models = [
        init_model("tiny.py", "m.pth", "cpu"),
        init_model("hf-hub:me/fields@main", None, "cpu"),
    ]
    assert models[1].temperature == 1.5 and models[1].dataset_meta["gsd"] == 0.25
    for image in images:
        first, second = (inference_model(model, image, with_logits=True) for model in models)
        assert torch.equal(first.seg_logits.data, second.seg_logits.data)
        assert torch.equal(first.pred_sem_seg.data, second.pred_sem_seg.data)


def test_a_repository_holds_weights_config_and_card_that_need_no_python(folder):
    (snapshot,) = folder.glob("cache/models--me--fields/snapshots/*")
    assert sorted(path.name for path in snapshot.iterdir()) == [
        *("README.md", "config.json", "model.safetensors")
    ]
    weights = safetensors.torch.load_file(snapshot / "model.safetensors")
    expected = read_checkpoint("m.pth")["state_dict"]
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[key], expected[key]) for key in expected)
    config = json.loads((snapshot / "config.json").read_text())
    assert config["model"]["decode_head"]["num_classes"] == 3
    assert config["test_dataloader"]["dataset"]["metainfo"]["classes"] == CLASSES


def test_the_card_tells_classes_scores_licences_and_how_to_load():
    text = Path("out/README.md").read_text()
    header = yaml.safe_load(text.split("---\n")[1])
    assert header == {
        "license": "cc-by-4.0",
        "library_name": "segnext",
        "pipeline_tag": "image-segmentation",
        "tags": ["semantic-segmentation", "segnext"],
    }
    for line in (
        "- Bands of an image: red, green, blue (uint8).",
        "- Ground sample distance (GSD) in metres: 0.25.",
        "- Rank of the head's factorisation (NMF): 4.",
        "- Licences: cc-by-4.0 (weights), own photos, CC0 (training data).",
        "| roof | 1 | #c80000 |",
    ):
        assert f"{line}\n" in text
    sums = MATRICES.sum(0)
    ious = 100 * np.diag(sums) / (sums.sum(0) + sums.sum(1) - np.diag(sums))
    for name, iou in [("mIoU", ious.mean()), *zip(CLASSES, ious, strict=True)]:
        low, high = re.search(rf"\| {name} \| {iou:.2f} \| ([\d.]+) to ([\d.]+) \|", text).groups()
        assert float(low) <= round(iou, 2) <= float(high)
    Path("image.png").write_bytes(Path("data/val/images/0.png").read_bytes())
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    exec(code)
    assert Path("overlay.png").is_file() and len(code.split("\n")) == 5  # two of them are empty


def test_tools_take_it_in_the_place_of_config_and_checkpoint(capsys):
    options = ("data/val/images", "--engine", "torch", "--device", "cpu", "--out")
    assert call_tool("predict.py", "hf-hub:me/fields", *options, "by_hub") is None
    assert call_tool("predict.py", "tiny.py", "m.pth", *options, "by_files") is None
    for path in sorted(Path("by_files/ids").iterdir()):
        assert path.read_bytes() == Path("by_hub/ids", path.name).read_bytes()
    assert call_tool("predict.py", "tiny.py", "hf-hub:me/fields", *options, "by_both") == 2
    assert "takes the place of the config and the checkpoint" in capsys.readouterr().err


RUN = {"type": "os.mkdir", "path": "ran"}
OURS = {"model": {"type": "EncoderDecoder"}, "test_dataloader": {}}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"model_type": "segformer", "architectures": ["X"]},
            r"damaged or of another program .*\('model'\)",
        ),
        (
            {"architecture": "resnet18", "model": "x"},
            r"damaged or of another program .*\('test_dataloader'\)",
        ),
        ([1], "is damaged or of another program"),
        (b'{"model": ', "is damaged or of another program"),
        (b"[" * 100_000, "is damaged or of another program"),
        (
            {**OURS, "custom_imports": {"imports": ["os"]}},
            "custom_imports=.* would run Python code",
        ),
        ({**OURS, "model": RUN}, "type='os.mkdir' would run Python code"),
        ({**OURS, "tta_pipeline": [{"transforms": [[RUN]]}]}, "type='os.mkdir' would run"),
        ({**OURS, "optim_wrapper": {"constructor": "os.mkdir"}}, "constructor='os.mkdir' would"),
        ({**OURS, "model": {"type": "X", "_scope_": "os"}}, "_scope_='os' would run"),
    ],
)
def test_a_config_of_another_program_or_with_code_is_refused(config, message, request):
    repo = f"me/c{abs(hash(request.node.name))}"
    data = config if isinstance(config, bytes) else json.dumps(config).encode()
    store(repo, {"config.json": data, "model.safetensors": b""})
    with pytest.raises(UserError, match=rf"config\.json: .*{message}"):
        init_model(f"hf-hub:{repo}", device="cpu")
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fields", r"fields: write hf-hub:OWNER/NAME or hf-hub:OWNER/NAME@REVISION"),
        ("me/fields/x", "me/fields/x: write hf-hub:OWNER/NAME"),
        ("me/unknown", r"cannot be reached, and config\.json is not in the cache"),
        ("me/fields@v9", r"cannot be reached, and config\.json is not in the cache"),
    ],
)
def test_without_a_network_what_the_cache_lacks_is_one_line(name, message):
    with pytest.raises(UserError, match=message):
        init_model(f"hf-hub:{name}", device="cpu")


class Answers(http.server.BaseHTTPRequestHandler):
    """The answers of the Hub to what it lacks; the name of the repository says which one."""

    def do_HEAD(self):
        self.send_response(404)
        self.send_header("X-Error-Code", self.path.split("/")[2])
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("RepoNotFound", "no such repository, or none that your token may read"),
        ("RevisionNotFound", "the repository has no such revision"),
        ("EntryNotFound", r"has no model\.safetensors; no other file is read, and no pickle"),
    ],
)
def test_what_the_hub_does_not_have_is_one_line(answer, message, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        download = partial(
            huggingface_hub.hf_hub_download, endpoint=f"http://127.0.0.1:{server.server_port}"
        )
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
        with pytest.raises(UserError, match=f"^hf-hub:me/{answer}: {message}$"):
            read_checkpoint(f"hf-hub:me/{answer}")
        server.shutdown()


@pytest.mark.parametrize(
    ("words", "added", "message"),
    [
        (("--to-hub", "me/x", "--config", "tiny.py"), "", "needs --to-hub, --config and --license"),
        (LICENCES, "", "needs --to-hub, --config and --license, the licences of the weights"),
        ((*PUBLISH[3:], "fields"), "", "--to-hub fields: write OWNER/NAME"),
        ((*PUBLISH[3:], "me/x", "--eval", "other/eval_m.json"), "", r"is no test of m\.pth"),
        (
            (*PUBLISH[3:], "me/x"),
            "custom_imports = dict(imports=['math'])",
            "custom_imports=.* would run Python code",
        ),
        (
            (*PUBLISH[3:], "me/x"),
            "env_cfg = dict(dist_cfg={1, 2})",
            r"tiny\.py: \{1, 2\} is Python and no JSON",
        ),
        ((*PUBLISH[3:], "me/x"), "", "again: the upload did not finish .*token"),
        (("data", *PUBLISH[3:], "me/x"), "", "data: is there already, and is no model for the Hub"),
    ],
)
def test_what_cannot_be_published_is_one_line(words, added, message, tmp_path, monkeypatch):
    config = tmp_path / "tiny.py"
    config.write_text(Path("tiny.py").read_text() + added)
    words = [str(config) if word == "tiny.py" else word for word in words]
    monkeypatch.setattr(HfApi, "upload_folder", None)
    out = [] if words[0] == "data" else ["again"]
    found = call_tool("publish_model.py", "m.pth", *out, *words)
    assert re.search(message, found) and len(found.splitlines()) == 1


def test_an_upload_that_breaks_off_leaves_the_files_to_repeat_it(monkeypatch):
    def breaks_off(*args, **kwargs):
        raise ConnectionError("the peer has gone")

    monkeypatch.setenv("HF_TOKEN", "hf_x")
    monkeypatch.setattr(HfApi, "create_repo", lambda *args, **kwargs: None)
    monkeypatch.setattr(HfApi, "upload_folder", breaks_off)
    found = call_tool(*PUBLISH, "me/x")
    assert found == "error: again: the upload did not finish (the peer has gone): repeat"
    assert len(list(Path("again").iterdir())) == 3
