"""Evaluate a checkpoint: python tools/test.py CONFIG CHECKPOINT --eval mIoU

An exported file (.onnx or .xml) takes the place of CHECKPOINT.
"""

import hashlib
import shlex
import sys
from pathlib import Path

from common import KeyValues, add_inference_flags, leave_group, read_run_config, run_parser

import torch
from mmengine.config import Config, ConfigDict
from mmengine.dist import get_rank

import mmseg
from mmseg.checkpoints.dialects import state_dict_of
from mmseg.checkpoints.files import read_checkpoint, write_checkpoint
from mmseg.config.changes import drop_masks, keep_test_scale, use_tta
from mmseg.engine import SegRunner
from mmseg.engine.compile import compile_network
from mmseg.engine.prepare import use_inference_amp
from mmseg.errors import UserError, one_line_errors
from mmseg.export.loading import is_exported
from mmseg.files import make_writable
from mmseg.results.report import write_report
from mmseg.results.runs import Run


def parse_args():
    parser = run_parser(__doc__)
    parser.add_argument("checkpoint")
    add = parser.add_argument
    metrics = ("mIoU", "mDice", "mFscore")
    add("--eval", nargs="+", choices=metrics, help="by default those of the config")
    add("--tta", "--aug-test", action="store_true", help="average over scales and flips")
    add("--out", metavar="DIR", help="also write id images, or FILE.pkl: a list of (H, W) arrays")
    text = "only write the predictions, without masks; by default to <work dir>/format_results"
    add("--format-only", nargs="?", const="", metavar="DIR", help=text)
    add("--eval-options", nargs="+", action=KeyValues, default={}, help="imgfile_prefix=DIR")
    add("--gpu-collect", action="store_true", help="gather results by the GPUs")
    text = "also write a page of the results (to <work dir>/report)"
    add("--report", nargs="?", const="", metavar="DIR", help=text)
    text = "find the temperature of the validation set, and write <checkpoint>.calibrated.pth"
    add("--temperature", choices=("fit",), help=text)
    add("--show-dir", metavar="DIR", help="also write overlays beside the images")
    add("--show", action="store_true", help="show the overlays in a window")
    add("--wait-time", type=float, default=2, metavar="SECONDS", help="for each, with --show")
    add("--opacity", type=float, default=0.5, help="of the overlays, 0 to 1")
    add_inference_flags(parser)
    add("--compile", action="store_true", help="torch.compile the network, for many images")
    return parser.parse_args()


def apply_flags(config: Config, args) -> None:
    config.load_from = args.checkpoint
    # The result has the name of the checkpoint, also if a link such as latest.pth is given.
    name = f"eval_{Path(args.checkpoint).resolve().stem}{'_tta' if args.tta else ''}.json"
    format_only = args.format_only is not None
    as_pickle = Path(args.out or "").suffix in (".pkl", ".pickle")
    folder = output_dir(args, config.work_dir, as_pickle)
    if args.report is not None:
        if format_only or folder:
            raise UserError("--report writes predictions itself: leave --out and --format-only out")
        args.report = args.report or str(Path(config.work_dir) / "report")
        folder = str(Path(args.report) / "predictions")
    for path in (folder, args.show_dir, Path(args.out).parent if as_pickle else None):
        if path is not None:
            make_writable(path)
    if args.eval:
        iou_metric(config).iou_metrics = args.eval
    iou_metric(config).update(
        output_dir=folder,
        format_only=format_only,
        json_file=None if format_only else str(Path(config.work_dir) / name),
    )
    if args.report is not None:
        file = str(Path(config.work_dir) / name.replace(".json", ".detail.npz"))
        config.test_evaluator = [*evaluators(config), {"type": "DetailMetric", "file": file}]
        config.model.test_cfg.with_logits = True
    if args.gpu_collect:
        iou_metric(config).collect_device = "gpu"
    if as_pickle:
        pickled = {"type": "PickledPredictions", "out_file_path": args.out}
        config.test_evaluator = [*evaluators(config), pickled]
    if args.amp:
        use_inference_amp(config)
    keep_test_scale(config, args.checkpoint)
    if args.tta:
        use_tta(config)
    if args.compile and (args.engine not in ("auto", "torch") or is_exported(args.checkpoint)):
        raise UserError("--compile is an option of PyTorch: leave it or the engine out")
    config.compile, config.engine = args.compile, args.engine
    if format_only:
        drop_masks(config.test_dataloader.dataset)
    if args.show_dir or args.show:
        drawing = {"show_dir": args.show_dir, "opacity": args.opacity}
        drawing |= {"show": args.show, "wait_time": args.wait_time}
        hooks = config.get("custom_hooks") or []
        config.custom_hooks = [*hooks, {"type": "SegVisualizationHook", **drawing}]


def run_facts(args) -> dict:
    """Return what was run: config, checkpoint, its seed and hash, versions, device, command."""
    file = Path(args.checkpoint).resolve()
    content = {} if is_exported(file) else read_checkpoint(args.checkpoint)
    meta = content.get("meta") or {}
    return {
        "config": str(args.config),
        "checkpoint": str(file if file.is_file() else args.checkpoint),
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None,
        "seed": meta.get("seed"),
        "versions": {"segnext": mmseg.__version__, "torch": torch.__version__},
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "command": shlex.join(sys.argv),
    }


def calibrate(config: Config, checkpoint: str) -> Path:
    """Fit the temperature of a checkpoint on the validation set; return the calibrated file."""
    config.test_dataloader = config.val_dataloader
    config.test_evaluator = {"type": "TemperatureMetric"}
    config.model.test_cfg.with_logits = True
    fitted = SegRunner.from_cfg(without_training(config)).test()["temperature"]
    content = read_checkpoint(checkpoint)
    meta = dict(content.get("meta") or {})
    stored = dict(meta.get("dataset_meta") or {})
    stored["temperature"] = fitted * float(stored.get("temperature", 1))
    target = Path(checkpoint).resolve().with_suffix(".calibrated.pth")
    write_checkpoint(target, state_dict_of(content), meta | {"dataset_meta": stored})
    return target


def without_training(config: Config) -> Config:
    for split in ("train", "val"):
        for part in ("dataloader", "cfg", "evaluator"):
            config.pop(f"{split}_{part}", None)
    for key in ("optim_wrapper", "param_scheduler"):
        config.pop(key, None)
    return config


def evaluators(config: Config) -> list:
    given = config.get("test_evaluator") or []
    return list(given) if isinstance(given, list | tuple) else [given]


def iou_metric(config: Config) -> ConfigDict:
    for evaluator in evaluators(config):
        if evaluator["type"] == "IoUMetric":
            return evaluator
    raise UserError("test_evaluator: has no IoUMetric, which --eval, --out and --format-only need")


def output_dir(args, work_dir: str, as_pickle: bool) -> str | None:
    """Return the folder for id images, None when none are asked for."""
    folder = args.eval_options.pop("imgfile_prefix", None)
    if args.eval_options:
        raise UserError(f"--eval-options {', '.join(args.eval_options)}: only imgfile_prefix=DIR")
    if args.format_only is not None:
        return args.format_only or folder or str(Path(work_dir) / "format_results")
    return folder if as_pickle else args.out or folder


@one_line_errors
def main() -> None:
    args = parse_args()
    config = read_run_config(args)
    if args.temperature:
        config.load_from = args.checkpoint
        print(calibrate(config, args.checkpoint))
        leave_group()
        return
    apply_flags(config, args)
    if args.format_only is None:
        iou_metric(config).run = run_facts(args)
    runner = SegRunner.from_cfg(without_training(config))
    if args.compile:
        compile_network(runner.model)
    runner.test()
    if args.report is not None and get_rank() == 0:
        print(write_report(Run.load(iou_metric(config).json_file), Path(args.report)))
    leave_group()


if __name__ == "__main__":
    main()
