"""Export a model for other programs: python tools/export.py CONFIG CHECKPOINT --out model.onnx

Writes one ONNX file, or `.xml` and `.bin` for OpenVINO; see docs/deploy.md. The file gets its name
when engines compute the same with it as PyTorch.
"""

import sys

from common import add_rank_flag, config_parser, positive_int, read_config

from mmseg.apis import init_model
from mmseg.errors import one_line_errors
from mmseg.evaluation.report import render_table
from mmseg.export import ExportOptions, export_model
from mmseg.export.graph import CHOICES


def parse_args():
    parser = config_parser(__doc__)
    add = parser.add_argument
    add("checkpoint")
    add("--out", required=True, metavar="FILE", help="an .onnx file, or an .xml file for OpenVINO")
    outputs = [name for name in CHOICES["output"] if name != "coarse"]
    add("--output", choices=outputs, help="what the file gives for each pixel")
    add("--input", choices=("image", "tensor"), help="pixels, or normalised float32")
    add("--layout", choices=CHOICES["layout"], help="order of the axes of an image")
    add("--size", type=positive_int, nargs=2, metavar=("H", "W"), help="fix the size of images")
    add("--batch", type=positive_int, metavar="N", help="fix the number of images")
    add("--precision", choices=CHOICES["precision"])
    add("--max-loss", type=float, default=0.5, metavar="POINTS", help="of mIoU, with int8")
    add("--gsd", type=float, metavar="M", help="metres per pixel of the training images")
    add("--for", dest="target", choices=("deepness", "geodeep"), help="the program to write for")
    add("--json", action="store_true", help="also write the metadata to a .json beside the file")
    add_rank_flag(parser)
    parser.set_defaults(**vars(ExportOptions()))
    return parser.parse_args()


@one_line_errors
def main() -> None:
    args = parse_args()
    options = {name: getattr(args, name) for name in vars(ExportOptions())}
    model = init_model(read_config(args), args.checkpoint, "cpu", args.nmf_rank, fused=False)
    checks, miou = export_model(model, args.out, args.max_loss, args.json, **options)
    columns = ["engine", "size", "batch", "largest difference", "equal labels"]
    rows = [(*place, f"{gap:.1e}", f"{equal:.4%}") for *place, gap, equal in checks]
    sys.stdout.write(render_table(columns, rows) + "\n")
    if miou:
        text = "mIoU on the validation set: {:.2f} float32, {:.2f} int8\n"
        sys.stdout.write(text.format(*miou))
    sys.stdout.write(f"{args.out}\n")


if __name__ == "__main__":
    main()
