"""Predict images: python tools/predict.py CONFIG CHECKPOINT INPUT... --out DIR

Writes for every image <out>/ids/<name>.png, class ids with the palette, and
<out>/overlay/<name>.png, the classes drawn over the image. An exported file (.onnx or .xml) or
hf-hub:OWNER/NAME takes the place of CONFIG and CHECKPOINT.
"""

import os
from pathlib import Path

from common import MODEL, console, open_model, parse_model_args, progress, tool_parser

from mmseg.apis import predict_images
from mmseg.errors import one_line_errors
from mmseg.imagery import list_images
from mmseg.imagery.image import read_picture
from mmseg.imagery.listing import IMAGE_SUFFIXES, OutputNames
from mmseg.imagery.pictures import panels, write_id_png, write_image


@one_line_errors
def main() -> None:
    parser = tool_parser(__doc__, *MODEL, "--bands", "--opacity")
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="files, folders or globs")
    parser.add_argument("--out", required=True, metavar="DIR")
    args = parse_model_args(parser)
    ids_folder, overlay_folder = Path(args.out) / "ids", Path(args.out) / "overlay"
    images = list_images(args.inputs, IMAGE_SUFFIXES, skip_folders=(ids_folder, overlay_folder))
    model = open_model(args)
    classes, palette = model.dataset_meta["classes"], model.dataset_meta["palette"]
    root = os.path.commonpath([os.path.abspath(Path(image).parent) for image in images])
    id_names, overlay_names = OutputNames(ids_folder, root), OutputNames(overlay_folder, root)
    for image in images:
        id_names(image)  # raises if two images would have the same output, before any work
    for sample in progress(predict_images(model, images), "Predicting", len(images)):
        ids = sample.pred_sem_seg.data[0].cpu().numpy()
        shown = read_picture(sample.img_path, model.dataset_meta, args.bands)
        write_id_png(id_names(sample.img_path), ids, palette)
        name = Path(sample.img_path).name
        picture = panels(name, shown, classes, palette, args.opacity, ids)
        write_image(overlay_names(sample.img_path), picture)
    console.print(f"{len(images)} images predicted: {args.out}/ids and {args.out}/overlay")


if __name__ == "__main__":
    main()
