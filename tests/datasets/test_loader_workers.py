"""What a loader's worker may take of the machine."""

import cv2
import torch
from mmengine.utils.dl_utils import set_multi_processing
from torch.utils.data import DataLoader

from mmseg.config import load_config


class Threads:
    """The threads that OpenCV and torch would use where a sample is made."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return cv2.getNumThreads(), torch.get_num_threads()


def test_a_worker_uses_one_thread():
    before = cv2.getNumThreads()
    config = load_config("local_configs/segnext/tiny/segnext.tiny.512x512.ade.160k.py")
    set_multi_processing(**config.env_cfg.mp_cfg, distributed=False)
    found = list(DataLoader(Threads(), batch_size=None, num_workers=1))
    cv2.setNumThreads(before)
    assert found == [[1, 1]]
