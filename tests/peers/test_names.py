"""The names and module paths of MMSegmentation: found where its code looks for them, or named."""

import subprocess
import sys
from importlib import import_module

import pytest

from mmseg import peers

# As public repositories write them.
LINES = """
from mmseg.datasets.basesegdataset import BaseSegDataset
from mmseg.datasets.builder import DATASETS, PIPELINES, build_dataset
from mmseg.datasets.custom import CustomDataset
from mmseg.datasets.pipelines import Compose, LoadAnnotations
from mmseg.datasets.pipelines.compose import Compose
from mmseg.datasets.transforms.transforms import PhotoMetricDistortion
from mmseg.datasets.transforms.formatting import PackSegInputs
from mmseg.models.builder import BACKBONES, HEADS, LOSSES, MODELS, build_segmentor
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder
from mmseg.models.losses.cross_entropy_loss import CrossEntropyLoss
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.evaluation.metrics import IoUMetric
from mmseg.evaluation.metrics.iou_metric import IoUMetric
from mmseg.structures.seg_data_sample import SegDataSample
from mmseg.apis.inference import init_model, inference_model
from mmseg.registry import DATASETS, MODELS, TRANSFORMS, VISUALIZERS
from mmseg.registry import OPTIMIZERS, PARAM_SCHEDULERS, MODEL_WRAPPERS, RUNNERS
from mmseg.utils import register_all_modules
from mmseg.utils.set_env import register_all_modules
from mmseg.utils import ConfigType, OptConfigType, SampleList, OptSampleList, add_prefix
from mmseg.utils.typing_utils import TensorDict
from mmseg.utils import get_classes, get_palette
from mmseg.models import BaseSegmentor
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.apis import MMSegInferencer, init_segmentor, show_result_pyplot
from mmseg.visualization import SegLocalVisualizer
from mmseg.datasets import PotsdamDataset, ISPRSDataset
from mmseg.datasets.isprs import ISPRSDataset
from mmseg.core.evaluation import get_palette
"""


@pytest.mark.parametrize("line", LINES.strip().splitlines())
def test_a_line_of_a_public_repository_imports(line):
    exec(line, {})


def test_every_path_of_the_table_can_be_imported_and_every_name_is_there():
    for path in peers.MODULES:
        import_module(f"mmseg.{path}")
    for name, home in peers.NAMES.items():
        assert getattr(import_module("mmseg.models"), name) is getattr(import_module(home), name)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("from mmseg.models import UPerHead", "mmseg.models has no UPerHead; docs/migration.md"),
        ("import mmseg.models.losses.ohem", "mmseg.models.losses has no ohem; docs/migration.md"),
        ("from mmseg.datasets.custom import Nothing", "mmseg.datasets.custom has no Nothing; docs"),
    ],
)
def test_a_name_that_will_not_come_is_named(line, message):
    with pytest.raises(ImportError, match=message):
        exec(line, {})


def test_importing_the_package_imports_none_of_the_peers():
    code = "import mmseg, sys; print([m for m in sys.modules if m.startswith('mmseg.peers.')])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
