"""Train a segmentor: python tools/train.py local_configs/segnext/tiny/<config>.py"""

from importlib.util import find_spec

from common import leave_group, positive_int, read_run_config, run_parser

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


def parse_args():
    parser = run_parser(__doc__)
    add = parser.add_argument
    text = "go on from CKPT; without CKPT, from the newest checkpoint of the work directory"
    add("--resume", "--resume-from", nargs="?", const="", metavar="CKPT", help=text)
    add("--auto-scale-lr", action="store_true", help="scale the rate with the batch size")
    add("--auto-resume", dest="resume", action="store_const", const="")
    add("--load-from", metavar="CKPT", help="start from the weights of a model")
    add("--new-classes", action="store_true", help="fine-tune without conv_seg of --load-from")
    add("--amp", action="store_true", help="mixed precision, bfloat16 if possible")
    add("--seed", type=int, help="seed of everything random")
    add("--diff-seed", "--diff_seed", action="store_true", help="another seed per process")
    add("--deterministic", action="store_true", help="the same bits on every run")
    text = "compute each batch in K parts: less memory, the same recipe"
    add("--accumulate", type=positive_int, default=1, metavar="K", help=text)
    add("--compile", action="store_true", help="torch.compile the network: for long runs on a GPU")
    add("--no-validate", action="store_true", help="train without validation")
    add("--tracker", choices=TRACKERS, action="append", default=[], help="log there too")
    add("--tensorboard", dest="tracker", action="append_const", const="tensorboard")
    return parser.parse_args()


def apply_flags(config: Config, args) -> None:
    if args.resume == "auto":
        args.resume = ""
    if args.resume is not None:
        config.resume_from_work_dir = True
    if args.resume:
        config.resume_from_work_dir = False
        if args.load_from:
            raise UserError("--resume CKPT and --load-from: a run starts from one of them")
        config.resume = True
        config.load_from = args.resume
    if args.load_from:
        config.load_from = args.load_from
        config.model.backbone.pop("init_cfg", None)
    if args.new_classes:
        config.load_cfg = {**config.get("load_cfg", {}), "new_classes": True}
    if args.amp:
        use_amp(config)
    if args.compile:
        config.compile = True
    if args.auto_scale_lr:
        if "base_batch_size" not in (config.get("auto_scale_lr") or {}):
            raise UserError(
                "--auto-scale-lr: the config does not say for which batch its learning rate is; "
                "set auto_scale_lr=dict(base_batch_size=...)"
            )
        config.auto_scale_lr.enable = True
    if args.accumulate > 1:
        config.train_cfg.accumulate = args.accumulate
    randomness = {"seed": None, **(config.get("randomness") or {})}
    if args.seed is not None:
        randomness["seed"] = args.seed
    if args.diff_seed:
        randomness["diff_rank_seed"] = True
    if args.deterministic:
        randomness["deterministic"] = True
    config.randomness = randomness
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
