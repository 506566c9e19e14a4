"""Make a checkpoint ready to share: python tools/publish_model.py IN OUT

Leaves out the optimiser, and keeps classes, palette, NMF rank, mean, standard deviation, the text
of the config and the version. The first eight digits of its sha256 are added to the name of OUT.
If the checkpoint lacks some of these, as those of other projects do, give its config with --config.
"""

import hashlib
from pathlib import Path

from common import tool_parser

import mmseg
from mmseg.checkpoints.dialects import (
    class_names,
    config_text,
    metadata,
    rank_of,
    state_dict_of,
    stored_bands,
)
from mmseg.checkpoints.files import read_checkpoint, write_checkpoint
from mmseg.config import load_config
from mmseg.datasets.check import build_parts
from mmseg.errors import UserError, one_line_errors


def facts_of(checkpoint: dict) -> dict:
    """Return the facts that a checkpoint tells, and None for the others."""
    meta = metadata(checkpoint)
    classes, palette = class_names(checkpoint)
    facts = {key: meta.get(key) for key in ("mean", "std", "bgr_to_rgb")}
    facts |= {"classes": classes, "palette": palette, "nmf_rank": rank_of(checkpoint)}
    return {**facts, "cfg": config_text(checkpoint) or None}


def facts_of_config(path: str) -> dict:
    """Return the facts that a config tells; a head without a factorisation has no rank."""
    config = load_config(path)
    preprocessor, ham = config.model.data_preprocessor, config.model.decode_head.get("ham_kwargs")
    meta = build_parts(config.test_dataloader.dataset)[0].metainfo
    return {
        "mean": list(preprocessor.get("mean") or (0, 0, 0)),
        "std": list(preprocessor.get("std") or (1, 1, 1)),
        "bgr_to_rgb": preprocessor.bgr_to_rgb,
        "classes": list(meta["classes"]),
        "palette": [list(colour) for colour in meta["palette"]],
        "cfg": config.pretty_text,
        **({"nmf_rank": ham["MD_R"]} if ham and "MD_R" in ham else {}),
    }


@one_line_errors
def main() -> None:
    parser = tool_parser(__doc__)
    parser.add_argument("input", metavar="IN")
    parser.add_argument("output", metavar="OUT", type=Path, help="a .pth or .safetensors file")
    parser.add_argument("--config", help="tells the facts that the checkpoint lacks")
    args = parser.parse_args()
    checkpoint = read_checkpoint(args.input)
    found = facts_of(checkpoint)
    told = facts_of_config(args.config) if args.config else found
    facts = told | {key: value for key, value in found.items() if value is not None}
    if lacking := [key for key, value in facts.items() if value is None]:
        raise UserError(f"{args.input} does not tell {', '.join(lacking)}: add --config CONFIG")
    names = {key: facts.pop(key) for key in ("classes", "palette")} | stored_bands(checkpoint)
    meta = {"segnext_version": mmseg.__version__, **facts, "dataset_meta": names}
    # OUT itself may be the name of another file, even of the input.
    unnamed = args.output.with_stem(f".{args.output.stem}")
    write_checkpoint(unnamed, state_dict_of(checkpoint), meta)
    digest = hashlib.sha256(unnamed.read_bytes()).hexdigest()[:8]
    final = args.output.with_stem(f"{args.output.stem}-{digest}")
    unnamed.replace(final)
    print(final)


if __name__ == "__main__":
    main()
