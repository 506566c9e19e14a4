"""Train a segmentor: python tools/train.py local_configs/segnext/tiny/<config>.py"""

from importlib.util import find_spec

from common import RUN, leave_group, positive_int, read_run_config, seed, tool_parser

from mmengine.config import Config

from mmseg.engine import SegRunner
from mmseg.engine.preemption import leave_at_once_when_asked
from mmseg.engine.prepare import use_amp
from mmseg.errors import UserError, one_line_errors

# The packages of trackers, and mmengine's backends for them.
TRACKERS = {
    "tensorboard": "TensorboardVisBackend",
    "wandb": "WandbVisBackend",
    "mlflow": "MLflowVisBackend",
}
# Flags that switch a key of the config on, and what that does.
SWITCHES = {
    "--auto-scale-lr": ("auto_scale_lr.enable", "scale the rate with the batch size"),
    "--new-classes": ("load_cfg.new_classes", "fine-tune without conv_seg of --load-from"),
    "--diff-seed --diff_seed": ("randomness.diff_rank_seed", "another seed per process"),
    "--deterministic": ("randomness.deterministic", "the same bits on every run"),
    "--compile": ("compile", "torch.compile the network: for long runs on a GPU"),
}


def parse_args():
    parser = tool_parser(__doc__, *RUN)
    add = parser.add_argument
    text = "go on from CKPT; without CKPT, from the newest checkpoint of the work directory"
    add("--resume", "--resume-from", nargs="?", const="auto", metavar="CKPT", help=text)
    add("--auto-resume", dest="resume", action="store_const", const="auto")
    add("--load-from", metavar="CKPT", help="start from the weights of a model")
    add("--seed", dest="randomness.seed", type=seed, metavar="N", help="of everything random")
    text = "compute each batch in K parts: less memory, the same recipe"
    add("--accumulate", dest="train_cfg.accumulate", type=positive_int, metavar="K", help=text)
    for names, (key, text) in SWITCHES.items():
        add(*names.split(), dest=key, action="store_const", const=True, help=text)
    add("--no-validate", action="store_true", help="train without validation")
    add("--tracker", choices=TRACKERS, action="append", default=[], help="log there too")
    add("--tensorboard", dest="tracker", action="append_const", const="tensorboard")
    return parser.parse_args()


def apply_flags(config: Config, args) -> None:
    given = {key: value for key, value in vars(args).items() if value is not None}
    if args.resume in ("auto", ""):
        config.resume_from_work_dir = True
    elif args.resume:
        if args.load_from:
            raise UserError("--resume CKPT and --load-from: a run starts from one of them")
        config.resume_from_work_dir, config.resume, config.load_from = False, True, args.resume
    if args.load_from:
        config.load_from = args.load_from
        config.model.backbone.pop("init_cfg", None)
    if args.amp:
        use_amp(config)
    scaling = config.get("auto_scale_lr") or {}
    if "auto_scale_lr.enable" in given and "base_batch_size" not in scaling:
        raise UserError(
            "--auto-scale-lr: the config does not say for which batch its learning rate is; "
            "set auto_scale_lr=dict(base_batch_size=...)"
        )
    config.randomness = {"seed": None, **(config.get("randomness") or {})}
    config.merge_from_dict({k: v for k, v in given.items() if "." in k or k == "compile"})
    if args.no_validate:
        config.val_dataloader = config.val_cfg = config.val_evaluator = None
    for name in args.tracker:
        if find_spec(name) is None:
            raise UserError(f"--tracker {name}: pip install {name}")
        visualizer = config.get("visualizer") or {"type": "Visualizer"}
        backends = [*visualizer.get("vis_backends", []), {"type": TRACKERS[name]}]
        config.visualizer = {**visualizer, "vis_backends": backends}


@one_line_errors
def main() -> None:
    args = parse_args()
    config = read_run_config(args)
    apply_flags(config, args)
    runner = SegRunner.from_cfg(config)
    try:
        runner.train()
    except SystemExit:  # a signal has ended the run, and another may follow
        leave_at_once_when_asked()
        raise
    leave_group()


if __name__ == "__main__":
    main()
