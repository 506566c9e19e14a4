"""Predict images: python tools/predict.py CONFIG CHECKPOINT INPUT... --out DIR

Every image gives <out>/ids/<name>.png, class ids with the palette, and <out>/overlay/<name>.png.
"""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from common import add_amp_flag, add_rank_flag, config_parser, read_config

import mmcv
from rich.console import Console
from rich.progress import track

from mmseg.apis import init_model, predict_images
from mmseg.config.rank import use_rank
from mmseg.engine.amp import use_inference_amp
from mmseg.engine.visualization import draw_sample
from mmseg.errors import UserError, one_line_errors
from mmseg.imagery.image import read_image
from mmseg.imagery.output import OutputNames
from mmseg.imagery.pictures import write_id_png, write_image

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")


def find_images(inputs: Sequence[str], outputs: Sequence[Path]) -> list[str]:
    """Return the images that files, folders (with their subfolders) and globs name.

    What lies in the folders `outputs` is left out: predictions of an earlier run.
    """
    images: list[str] = []
    made = [folder.resolve() for folder in outputs]
    for name in inputs:
        if Path(name).is_dir():
            found = [str(p) for p in Path(name).rglob("*") if p.suffix.lower() in SUFFIXES]
        elif Path(name).is_file():
            found = [name]
        else:
            found = [p for p in glob.glob(name, recursive=True) if Path(p).is_file()]
        found = [f for f in found if not any(p in made for p in Path(f).resolve().parents)]
        if not found:
            raise UserError(f"{name}: no image there; give files, folders or globs of images")
        images += sorted(found)
    return images


def parse_args():
    parser = config_parser(__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="files, folders or globs")
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("--opacity", type=float, default=0.5, help="of the overlays, 0 to 1")
    parser.add_argument("--device", help="cuda:0 or cpu; the first GPU if there is one")
    add_amp_flag(parser)
    add_rank_flag(parser)
    return parser.parse_args()


@one_line_errors
def main() -> None:
    args = parse_args()
    ids_folder, overlay_folder = Path(args.out) / "ids", Path(args.out) / "overlay"
    images = find_images(args.inputs, (ids_folder, overlay_folder))
    config = read_config(args)
    use_rank(config, args.nmf_rank)
    if args.amp:
        use_inference_amp(config)
    model = init_model(config, args.checkpoint, args.device)
    classes, palette = model.dataset_meta["classes"], model.dataset_meta["palette"]
    root = os.path.commonpath([os.path.abspath(Path(image).parent) for image in images])
    id_names, overlay_names = OutputNames(ids_folder, root), OutputNames(overlay_folder, root)
    for image in images:
        id_names(image)  # two of one name are found before the first is predicted
    console = Console(stderr=True)
    for sample in track(
        predict_images(model, images), "Predicting", total=len(images), console=console
    ):
        ids = sample.pred_sem_seg.data[0].cpu().numpy()
        image = mmcv.bgr2rgb(read_image(sample.img_path))
        write_id_png(id_names(sample.img_path), ids, palette)
        picture = draw_sample(image, [ids], classes, palette, args.opacity)
        write_image(overlay_names(sample.img_path), picture)
    console.print(f"{len(images)} images predicted: {args.out}/ids and {args.out}/overlay")


if __name__ == "__main__":
    main()
