"""Rename a checkpoint's keys: python tools/convert_checkpoint.py IN OUT --to official|mmseg|segnext

Reads and writes .pth and .safetensors. The weights keep every bit. The optimiser's state is left
out, and the NMF rank is stored.
"""

from pathlib import Path

from common import tool_parser

import mmseg
from mmseg.checkpoints import dialects
from mmseg.checkpoints.files import read_checkpoint, write_checkpoint
from mmseg.errors import UserError, one_line_errors


def converted_meta(checkpoint: dict, dialect: str) -> dict:
    """Return the metadata with the rank, and with the classes at the places of each dialect."""
    meta = dialects.metadata(checkpoint)
    classes, palette = dialects.class_names(checkpoint)
    if classes:
        names = {**meta.get("dataset_meta", {}), "classes": classes, "palette": palette}
        meta |= {"CLASSES": classes, "PALETTE": palette, "dataset_meta": names}
    if (rank := dialects.rank_of(checkpoint)) is not None:
        meta["nmf_rank"] = rank
    version = meta.pop("segnext_version", mmseg.__version__)
    return meta | ({"segnext_version": version} if dialect == dialects.OURS else {})


@one_line_errors
def main() -> None:
    parser = tool_parser(__doc__)
    add = parser.add_argument
    add("input", metavar="IN")
    add("output", metavar="OUT")
    add("--to", required=True, choices=dialects.DIALECTS, help="whose key names to write")
    args = parser.parse_args()
    if Path(args.output).exists():  # it may be a checkpoint of a run
        raise UserError(f"{args.output}: is there already; name a new file")
    checkpoint = read_checkpoint(args.input)
    state = dialects.state_dict_as(checkpoint, args.to)
    meta = converted_meta(checkpoint, args.to)
    write_checkpoint(args.output, state, meta)
    source, rank = dialects.dialect_of(checkpoint), meta.get("nmf_rank", "unknown")
    print(f"{args.output}: {len(state)} tensors, {source} to {args.to}, NMF rank {rank}")


if __name__ == "__main__":
    main()
