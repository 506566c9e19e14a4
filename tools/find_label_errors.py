"""Find labels that are probably wrong: python tools/find_label_errors.py CONFIG CHECKPOINT

Use a checkpoint that was not trained on the split: a model that has learnt a wrong label agrees
with it. Writes suspects.csv, images.csv, sheet.png, and suspects.gpkg for georeferenced tiles.
"""

from collections.abc import Mapping
from pathlib import Path

from common import positive_int, progress, read_config, tool_parser

from mmseg.apis import init_model, predict_images
from mmseg.datasets.check import build_parts
from mmseg.errors import one_line_errors
from mmseg.imagery.image import read_picture
from mmseg.imagery.pictures import sheet, write_image
from mmseg.results.label_errors import COLUMNS, LabelErrors, crop_with_outline, write_suspect_layer
from mmseg.results.tables import write_csv

SHOWN = 48  # suspects on the sheet


@one_line_errors
def main() -> None:
    parser = tool_parser(__doc__, "config", "checkpoint", "--nmf-rank")
    add = parser.add_argument
    add("--split", choices=("train", "val", "test"), default="val")
    add("--min-pixels", type=positive_int, default=64, help="of a suspect")
    add("--least", type=float, default=0.5, help="how much likelier another class is, 0 to 1")
    add("--out", type=Path, default=Path("work_dirs/label_errors"), metavar="DIR")
    args = parser.parse_args()
    config = read_config(args)
    model = init_model(config, args.checkpoint, nmf_rank=args.nmf_rank)
    parts = build_parts(config[f"{args.split}_dataloader"].dataset, lazy=False)
    labelled = [(part, index) for part in parts for index in range(len(part))]
    images = [part.get_data_info(index)["img_path"] for part, index in labelled]
    errors = LabelErrors(len(model.dataset_meta["classes"]), args.min_pixels)
    samples = progress(predict_images(model, images, with_logits=True), "Predicting", len(images))
    for (part, index), sample in zip(labelled, samples, strict=True):
        prob = sample.seg_logits.data.softmax(0).cpu().numpy()
        errors.add(sample.img_path, prob, part.get_seg_map(index))
    report(errors, args.out, args.least, model.dataset_meta)


def report(errors: LabelErrors, out: Path, least: float, meta: Mapping) -> None:
    """Write the suspects and print how many there are."""
    suspects, classes = errors.suspects(least), meta["classes"]
    trust = sorted(errors.trust, key=lambda each: each[1])
    shares = [[image, f"{share:.4f}"] for image, share in trust]
    write_csv(out / "images.csv", ["image", "mean probability of its labels"], shares)
    write_csv(out / "suspects.csv", COLUMNS, [each.cells(classes) for each in suspects])
    if not suspects:
        print(f"nothing stands out in {len(trust)} images; {out}/images.csv ranks them")
        return
    shown = suspects[:SHOWN]
    crops = [crop_with_outline(read_picture(each.image, meta), each) for each in shown]
    captions = [f"{Path(each.image).name}: {classes[each.found]}?" for each in shown]
    write_image(out / "sheet.png", sheet(crops, captions, columns=8))
    written = "suspects.csv, images.csv, sheet.png"
    if write_suspect_layer(out / "suspects.gpkg", suspects, classes):
        written += ", suspects.gpkg"
    print(f"{len(suspects)} suspects in {len(trust)} images: {out}/ {written}")


if __name__ == "__main__":
    main()
