"""Export a model for other programs: python tools/export.py CONFIG CHECKPOINT --out model.onnx

Writes one ONNX file, or `.xml` and `.bin` for OpenVINO; see docs/deploy.md. The file gets its name
when engines compute the same with it as PyTorch.
"""

from common import add_fields, positive_int, read_config, read_fields, tool_parser

from mmseg.apis import init_model
from mmseg.errors import one_line_errors
from mmseg.evaluation.report import render_table
from mmseg.export import ExportOptions, export_model
from mmseg.export.graph import CHOICES


@one_line_errors
def main() -> None:
    parser = tool_parser(__doc__, "config", "checkpoint", "--nmf-rank")
    add = parser.add_argument
    add("--out", required=True, metavar="FILE", help="an .onnx file, or an .xml file for OpenVINO")
    add("--max-loss", type=float, default=0.5, metavar="POINTS", help="of mIoU, with int8")
    add("--json", action="store_true", help="also write the metadata to a .json beside the file")
    changes: dict[str, dict] = {
        name: {"choices": [value for value in known if value not in (None, "coarse", "unit")]}
        for name, known in CHOICES.items()
    }
    changes["target"]["flag"] = "--for"
    changes["size"] = {"type": positive_int, "nargs": 2, "metavar": ("H", "W")}
    add_fields(parser, ExportOptions, **changes)
    args = parser.parse_args()
    options = vars(read_fields(args, ExportOptions))
    model = init_model(read_config(args), args.checkpoint, "cpu", args.nmf_rank, fused=False)
    checks, miou = export_model(model, args.out, args.max_loss, args.json, **options)
    columns = ["engine", "size", "batch", "largest difference", "equal labels"]
    rows = [(*place, f"{gap:.1e}", f"{equal:.4%}") for *place, gap, equal in checks]
    print(render_table(columns, rows))
    if miou:
        print("mIoU on the validation set: {:.2f} float32, {:.2f} int8".format(*miou))
    print(args.out)


if __name__ == "__main__":
    main()
