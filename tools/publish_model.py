"""Make a checkpoint ready to share: python tools/publish_model.py IN OUT

Leaves out the optimiser, and keeps classes, palette, NMF rank, mean, standard deviation, the text
of the config and the version. The first eight digits of its sha256 are added to the name of OUT.
If the checkpoint lacks some of these, as those of other projects do, give its config with --config.

With --to-hub OWNER/NAME, OUT is a folder: it gets the weights, the config as JSON and a model card,
and is uploaded to the Hugging Face Hub.
"""

import hashlib
import json
import re
from argparse import Namespace
from pathlib import Path
from typing import Any

from common import tool_parser

from huggingface_hub import HfApi

from mmseg.apis import init_model
from mmseg.checkpoints import hub
from mmseg.checkpoints.dialects import metadata, model_facts, state_dict_of
from mmseg.checkpoints.files import read_checkpoint, write_checkpoint
from mmseg.config.check import TOP_LEVEL
from mmseg.errors import UserError, one_line_errors, reason
from mmseg.export import ExportOptions
from mmseg.export.facts import facts, to_text
from mmseg.files import write_whole
from mmseg.results.model_card import model_card
from mmseg.results.runs import Run

KEPT = ("mean", "std", "bgr_to_rgb", "cfg", "dataset_meta", "nmf_rank", "segnext_version")


def publish(args: Namespace, model: Any, state: dict, meta: dict) -> None:
    """Write the files of a repository, load them as its users will, and upload them."""
    out, told = args.output, facts(model, ExportOptions())
    if out.exists() and not (out / hub.WEIGHTS).exists():
        raise UserError(f"{out}: is there already, and is no model for the Hub; name a new folder")
    run, file = args.eval and Run.load(args.eval), Path(args.input)
    digest = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
    if run and run.facts.get("run", {}).get("sha256") != digest:
        raise UserError(f"{run.path}: is no test of {file}")

    def refuse(value: object) -> None:
        raise UserError(f"{args.config}: {value!r:.80} is Python and no JSON: write its name")

    config = {key: value for key, value in model.cfg.to_dict().items() if key in TOP_LEVEL}
    text = json.dumps(config, default=refuse, ensure_ascii=False, indent=2)
    card = model_card(args.to_hub, told, args.license, run)
    write_checkpoint(out / hub.WEIGHTS, state, meta)
    write_whole(out / hub.CONFIG, text.encode())
    write_whole(out / hub.CARD, card.encode())
    again = init_model(hub.read_config(out / hub.CONFIG), out / hub.WEIGHTS, "cpu", fused=False)
    if to_text(facts(again, ExportOptions())) != to_text(told):
        raise UserError(f"{out}: is another model than {args.input} with {args.config}")
    try:
        api = HfApi(token=True)
        api.create_repo(args.to_hub, exist_ok=True)
        api.upload_folder(repo_id=args.to_hub, folder_path=out, allow_patterns=[*hub.FILES])
    except Exception as error:  # of the network, of the Hub, of the disk
        raise UserError(f"{out}: the upload did not finish ({reason(error)}): repeat") from error
    print(f"hf-hub:{args.to_hub}")


@one_line_errors
def main() -> None:
    parser = tool_parser(__doc__)
    add = parser.add_argument
    add("input", metavar="IN")
    add("output", metavar="OUT", type=Path, help="a .pth or .safetensors file, or a folder")
    add("--config", help="tells the facts that the checkpoint lacks")
    add("--to-hub", metavar="OWNER/NAME", help="upload the model to this repository")
    text = "the licences of the weights (apache-2.0, cc-by-4.0, other) and of the training data"
    add("--license", nargs=2, metavar=("WEIGHTS", "DATA"), help=text)
    add("--eval", metavar="JSON", help="eval_*.json of tools/test.py, for the model card")
    args = parser.parse_args()
    needed = [args.to_hub, args.config, args.license]
    if (args.to_hub or args.license or args.eval) and not all(needed):
        raise UserError(f"a model for the Hub needs --to-hub, --config and --license, {text}")
    if not re.fullmatch(hub.REPOSITORY, args.to_hub or "a/b"):
        raise UserError(f"--to-hub {args.to_hub}: write OWNER/NAME")
    checkpoint, model = read_checkpoint(args.input), None
    meta = metadata(checkpoint)
    if args.config:
        model = init_model(args.config, args.input, "cpu", fused=False)
        names = {**model.dataset_meta, "temperature": model.temperature}
        meta = {**model_facts(model), "cfg": model.cfg.pretty_text, "dataset_meta": names}
    elif lacking := [key for key in KEPT if key not in meta]:
        raise UserError(f"{args.input} does not tell {', '.join(lacking)}: add --config CONFIG")
    state, meta = state_dict_of(checkpoint), {key: meta[key] for key in KEPT if key in meta}
    if args.to_hub:
        return publish(args, model, state, meta)
    # OUT itself may be the name of another file, even of the input.
    unnamed = args.output.with_stem(f".{args.output.stem}")
    write_checkpoint(unnamed, state, meta)
    digest = hashlib.sha256(unnamed.read_bytes()).hexdigest()[:8]
    final = args.output.with_stem(f"{args.output.stem}-{digest}")
    unnamed.replace(final)
    print(final)


if __name__ == "__main__":
    main()
