"""Evaluate a checkpoint: python tools/test.py CONFIG CHECKPOINT --eval mIoU

An exported file (.onnx or .xml) takes the place of CHECKPOINT.
"""

from pathlib import Path

from common import KeyValues, add_inference_flags, leave_group, read_run_config, run_parser

from mmengine.config import Config, ConfigDict

from mmseg.config.changes import drop_masks, use_tta
from mmseg.engine import SegRunner
from mmseg.engine.compile import compile_network
from mmseg.engine.prepare import use_inference_amp
from mmseg.errors import UserError, one_line_errors
from mmseg.export.loading import is_exported
from mmseg.files import make_writable


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
    add("--show-dir", metavar="DIR", help="also write overlays beside the images")
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
    if args.gpu_collect:
        iou_metric(config).collect_device = "gpu"
    if as_pickle:
        pickled = {"type": "PickledPredictions", "out_file_path": args.out}
        config.test_evaluator = [*evaluators(config), pickled]
    if args.amp:
        use_inference_amp(config)
    if args.tta:
        use_tta(config)
    if args.compile and (args.engine not in ("auto", "torch") or is_exported(args.checkpoint)):
        raise UserError("--compile is an option of PyTorch: leave it or the engine out")
    config.compile, config.engine = args.compile, args.engine
    if format_only:
        drop_masks(config.test_dataloader.dataset)
    if args.show_dir:
        drawing = {"show_dir": args.show_dir, "opacity": args.opacity}
        hooks = config.get("custom_hooks") or []
        config.custom_hooks = [*hooks, {"type": "SegVisualizationHook", **drawing}]


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
    apply_flags(config, args)
    for split in ("train", "val"):
        for part in ("dataloader", "cfg", "evaluator"):
            config.pop(f"{split}_{part}", None)
    for key in ("optim_wrapper", "param_scheduler"):
        config.pop(key, None)
    runner = SegRunner.from_cfg(config)
    if args.compile:
        compile_network(runner.model)
    runner.test()
    leave_group()


if __name__ == "__main__":
    main()
