"""Evaluate a checkpoint: python tools/test.py CONFIG CHECKPOINT --eval mIoU"""

from pathlib import Path

from common import read_run_config, run_parser
from mmengine.config import Config

from mmseg.config.tta import use_tta
from mmseg.engine import SegRunner
from mmseg.errors import one_line_errors


def parse_args():
    parser = run_parser(__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument(
        "--eval",
        nargs="+",
        default=["mIoU"],
        choices=("mIoU", "mDice", "mFscore"),
        metavar="METRIC",
    )
    parser.add_argument(
        "--tta", "--aug-test", action="store_true", help="average over scales and flips"
    )
    parser.add_argument("--out", metavar="DIR", help="also write the predictions as id images")
    parser.add_argument(
        "--format-only", metavar="DIR", help="only write the predictions; no masks are needed"
    )
    parser.add_argument("--show-dir", metavar="DIR", help="also write overlays beside the images")
    parser.add_argument("--opacity", type=float, default=0.5, help="of the overlays, 0 to 1")
    return parser.parse_args()


def apply_flags(config: Config, args) -> None:
    config.load_from = args.checkpoint
    # Named after the checkpoint itself, also when a link such as latest.pth is given.
    name = f"eval_{Path(args.checkpoint).resolve().stem}{'_tta' if args.tta else ''}.json"
    config.test_evaluator.update(
        iou_metrics=args.eval,
        output_dir=args.format_only or args.out,
        format_only=bool(args.format_only),
        json_file=None if args.format_only else str(Path(config.work_dir) / name),
    )
    if args.tta:
        use_tta(config)
    if args.format_only:
        drop_masks(config.test_dataloader.dataset)
    if args.show_dir:
        config.default_hooks.visualization = {
            "type": "SegVisualizationHook",
            "show_dir": args.show_dir,
            "opacity": args.opacity,
        }


def drop_masks(dataset: dict) -> None:
    dataset["data_prefix"].pop("seg_map_path", None)
    dataset["pipeline"] = without_annotations(dataset["pipeline"])


def without_annotations(pipeline: list) -> list:
    kept = []
    for step in pipeline:
        if step["type"] == "TestTimeAug":
            step["transforms"] = [without_annotations(t) for t in step["transforms"]]
            step["transforms"] = [t for t in step["transforms"] if t]
        if step["type"] != "LoadAnnotations":
            kept.append(step)
    return kept


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
    SegRunner.from_cfg(config).test()


if __name__ == "__main__":
    main()
