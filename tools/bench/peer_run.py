"""Train the peer's T on CamVid by its own runner: peer_run.py JSON; for `gpu.py` alone."""

import json
import sys
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

import mmseg

FILE = ".mim/configs/segnext/segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512.py"


def main() -> None:
    """Change the peer's config for ADE20K to the data, length and optimiser of the JSON."""
    job = json.loads(sys.argv[1])
    config = Config.fromfile(Path(mmseg.__file__).parent / FILE)
    config.model.backbone.init_cfg = None
    config.model.decode_head.num_classes = len(job["metainfo"]["classes"])
    config.model.data_preprocessor.size = job["crop_size"]
    for split in ("train", "val"):
        loader = config[f"{split}_dataloader"]
        folders = {"img_path": f"img_dir/{split}", "seg_map_path": f"ann_dir/{split}"}
        loader.dataset.update(data_root=job["data_root"], data_prefix=folders)
        loader.dataset.update(type="BaseSegDataset", metainfo=job["metainfo"])
        for step in loader.dataset.pipeline:
            changes = {key: job[key] for key in ("scale", "crop_size") if key in step}
            step.update(changes, **{"reduce_zero_label": False} if "Ann" in step.type else {})
    config.merge_from_dict(job["options"])
    Runner.from_cfg(config).train()


if __name__ == "__main__":
    main()
