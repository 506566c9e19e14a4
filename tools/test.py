"""Evaluate a checkpoint: python tools/test.py CONFIG CHECKPOINT --eval mIoU

An exported file (.onnx or .xml) takes the place of CHECKPOINT.
"""

import hashlib
import shlex
import sys
from pathlib import Path

from common import RUN, key_value, leave_group, read_run_config, tool_parser

import torch
from mmengine.config import Config, ConfigDict
from mmengine.dist import get_rank

import mmseg
from mmseg.checkpoints.dialects import state_dict_of
from mmseg.checkpoints.files import read_checkpoint, write_checkpoint
from mmseg.config.changes import drop_masks, keep_test_scale, use_tta
from mmseg.engine import SegRunner
from mmseg.engine.compile import FuseHook, compile_network
from mmseg.engine.prepare import use_inference_amp
from mmseg.errors import UserError, one_line_errors
from mmseg.export.loading import is_exported
from mmseg.files import make_writable
from mmseg.results.runs import Run

# What a test does not build.
TRAINING = [f"{s}_{p}" for s in ("train", "val") for p in ("dataloader", "cfg", "evaluator")]
TRAINING += ["optim_wrapper", "param_scheduler"]


def parse_args():
    parser = tool_parser(__doc__, *RUN, "checkpoint", "--engine", "--opacity")
    add = parser.add_argument
    metrics = ("mIoU", "mDice", "mFscore")
    add("--eval", nargs="+", choices=metrics, help="by default those of the config")
    add("--tta", "--aug-test", action="store_true", help="average over scales and flips")
    add("--out", metavar="DIR", help="also write id images, or FILE.pkl: a list of (H, W) arrays")
    text = "only write the predictions, without masks; by default to <work dir>/format_results"
    add("--format-only", nargs="?", const="", metavar="DIR", help=text)
    add("--eval-options", nargs="+", type=key_value, default=[], help="imgfile_prefix=DIR")
    add("--gpu-collect", action="store_true", help="gather results by the GPUs")
    text = "also write a page of the results (to <work dir>/report)"
    add("--report", nargs="?", const="", metavar="DIR", help=text)
    text = "find the temperature of the validation set, and write <checkpoint>.calibrated.pth"
    add("--temperature", choices=("fit",), help=text)
    add("--show-dir", metavar="DIR", help="also write overlays beside the images")
    add("--show", action="store_true", help="show the overlays in a window")
    add("--wait-time", type=float, default=2, metavar="SECONDS", help="for each, with --show")
    add("--compile", action="store_true", help="torch.compile the network, for many images")
    return parser.parse_args()


def apply_flags(config: Config, args, checkpoint: dict) -> None:
    config.load_from = args.checkpoint
    use_outputs(config, args)
    if args.amp:
        use_inference_amp(config)
    keep_test_scale(config, args.checkpoint, checkpoint)
    if args.tta:
        use_tta(config)
    if args.compile and (args.engine not in ("auto", "torch") or is_exported(args.checkpoint)):
        raise UserError("--compile is an option of PyTorch: leave it or the engine out")
    config.compile, config.engine = args.compile, args.engine
    if args.format_only is not None:
        drop_masks(config.test_dataloader.dataset)
    if args.show_dir or args.show:
        names = ("show_dir", "opacity", "show", "wait_time")
        hook = {"type": "SegVisualizationHook", **{name: getattr(args, name) for name in names}}
        config.custom_hooks = [*(config.get("custom_hooks") or []), hook]


def use_outputs(config: Config, args) -> None:
    """Let the evaluator of a config measure and write what the flags ask for."""
    # The result has the name of the checkpoint, also if a link such as latest.pth is given.
    name = f"eval_{Path(args.checkpoint).resolve().stem}{'_tta' if args.tta else ''}"
    evaluators = config.get("test_evaluator") or []
    config.test_evaluator = [evaluators] if isinstance(evaluators, dict) else [*evaluators]
    work, format_only, metric = Path(config.work_dir), args.format_only is not None, iou_of(config)
    given, added = dict(args.eval_options), []
    folder = given.pop("imgfile_prefix", None)
    if given:
        raise UserError(f"--eval-options {', '.join(given)}: only imgfile_prefix=DIR")
    if Path(args.out or "").suffix in (".pkl", ".pickle"):
        make_writable(Path(args.out).parent)
        added.append({"type": "PickledPredictions", "out_file_path": args.out})
    else:
        folder = args.out or folder
    if format_only:
        folder = args.format_only or folder or str(work / "format_results")
    if args.report is not None:
        if format_only or folder:
            raise UserError("--report writes predictions itself: leave --out and --format-only out")
        args.report = args.report or str(work / "report")
        folder = str(Path(args.report) / "predictions")
        added.append({"type": "DetailMetric", "file": str(work / f"{name}.detail.npz")})
        config.model.test_cfg.with_logits = True
    for path in filter(None, (folder, args.show_dir)):
        make_writable(path)
    file = None if format_only else str(work / f"{name}.json")
    metric.update(output_dir=folder, format_only=format_only, json_file=file)
    if args.eval:
        metric.iou_metrics = args.eval
    if args.gpu_collect:
        metric.collect_device = "gpu"
    config.test_evaluator = [*config.test_evaluator, *added]


def run_facts(args, checkpoint: dict) -> dict:
    """Return what was run: config, checkpoint, its seed and hash, versions, device, command."""
    file = Path(args.checkpoint).resolve()
    return {
        "config": str(args.config),
        "checkpoint": str(file if file.is_file() else args.checkpoint),
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None,
        "seed": (checkpoint.get("meta") or {}).get("seed"),
        "versions": {"segnext": mmseg.__version__, "torch": torch.__version__},
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "command": shlex.join(sys.argv),
    }


def iou_of(config: Config) -> ConfigDict:
    for evaluator in config.test_evaluator:
        if evaluator["type"] == "IoUMetric":
            return evaluator
    raise UserError("test_evaluator: has no IoUMetric, which --eval, --out and --format-only need")


def calibrate(config: Config, checkpoint: str) -> Path:
    """Fit the temperature of a checkpoint on the validation set; return the calibrated file."""
    config.load_from, config.test_dataloader = checkpoint, config.val_dataloader
    config.test_evaluator = {"type": "TemperatureMetric"}
    config.model.test_cfg.with_logits = True
    fitted = run_test(config)["temperature"]
    content = read_checkpoint(checkpoint)
    meta = dict(content.get("meta") or {})
    stored = dict(meta.get("dataset_meta") or {})
    stored["temperature"] = fitted * float(stored.get("temperature", 1))
    target = Path(checkpoint).resolve().with_suffix(".calibrated.pth")
    write_checkpoint(target, state_dict_of(content), meta | {"dataset_meta": stored})
    return target


def run_test(config: Config, compiled: bool = False) -> dict:
    for key in TRAINING:
        config.pop(key, None)
    runner = SegRunner.from_cfg(config)
    for hook in runner.hooks:
        if isinstance(hook, FuseHook):
            hook.frees_model = True
    if compiled:
        compile_network(runner.model)
    return runner.test()


@one_line_errors
def main() -> None:
    args = parse_args()
    config = read_run_config(args)
    if args.temperature:
        print(calibrate(config, args.checkpoint))
    else:
        exported = is_exported(args.checkpoint)
        checkpoint = {} if exported else read_checkpoint(args.checkpoint)
        apply_flags(config, args, checkpoint)
        if args.format_only is None:
            iou_of(config).run = run_facts(args, checkpoint)
        del checkpoint
        run_test(config, args.compile)
        if args.report is not None and get_rank() == 0:
            from mmseg.results.report import write_report  # matplotlib comes with it

            print(write_report(Run.load(iou_of(config).json_file), Path(args.report)))
    leave_group()


if __name__ == "__main__":
    main()
