"""Train the peer's T by its own runner, for the stage `camvid` of `gpu.py`: peer_run.py CONFIG

Data, length and learning rates are those of CONFIG, which is one of this project; optimiser,
augmentation and all else are the peer's.
"""

import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner import Runner

import mmseg

FILE = ".mim/configs/segnext/segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512.py"


def main() -> None:
    ours, config = (
        Config.fromfile(path) for path in (sys.argv[1], Path(mmseg.__file__).parent / FILE)
    )
    for key in ("param_scheduler", "randomness", "work_dir"):
        config[key] = ours[key]
    config.train_cfg.update({key: ours.train_cfg[key] for key in ("max_iters", "val_interval")})
    config.default_hooks.logger.interval = ours.default_hooks.logger.interval
    config.model.backbone.init_cfg = None
    config.model.decode_head.num_classes = len(ours.metainfo.classes)
    config.model.data_preprocessor.size = ours.crop_size
    for split in ("train", "val"):
        loader, own = config[f"{split}_dataloader"], ours[f"{split}_dataloader"]
        loader.update(batch_size=own.batch_size, num_workers=own.num_workers)
        loader.persistent_workers = own.num_workers > 0
        folders = {key: own.dataset[key] for key in ("data_root", "data_prefix")}
        loader.dataset.update(type="BaseSegDataset", metainfo=ours.metainfo, **folders)
        for step in loader.dataset.pipeline:
            step.update({key: ours[key] for key in ("scale", "crop_size") if key in step})
            step.pop("reduce_zero_label", None)
    if torch.cuda.is_available():  # mmengine has mixed precision on GPUs alone
        config.optim_wrapper.update(type="AmpOptimWrapper", dtype="bfloat16")
    config.merge_from_dict(ours.options)
    Runner.from_cfg(config).train()


if __name__ == "__main__":
    main()
