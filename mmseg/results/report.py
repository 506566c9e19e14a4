"""The report of a test: one HTML page that needs no network, and its tables and plots as files."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mmseg.errors import UserError
from mmseg.evaluation.confusion import Scores, confusion_matrix, percent, scores_of_pixels
from mmseg.evaluation.detail import SIZES, calibration_error
from mmseg.evaluation.per_image import drawn_scores, drawn_weights, interval
from mmseg.imagery.image import read_picture
from mmseg.imagery.listing import OutputNames
from mmseg.imagery.mask import read_mask, to_train_ids
from mmseg.imagery.pictures import panels
from mmseg.results import figures
from mmseg.results.runs import Run
from mmseg.results.tables import SHOWN_ROWS, Section, write_csv, write_page

PER_CLASS = {"IoU": "IoU", "Precision": "precision", "Recall": "recall", "Fscore": "F1"}
SUMMARY = ("mIoU", "mAcc", "aAcc", "mDice")
SHOWN_CLASSES = 40  # of the picture of the confusion matrix
SIDE = 360  # the longest side of a picture, in pixels
EXAMPLES = 3  # of the worst, the median and the best images


def write_report(run: Run, out: Path) -> Path:
    """Write index.html and a file for each table and plot into `out`; return the page.

    Pictures of images need the predictions in `out`/predictions, as `tools/test.py --report`
    writes them, and the images and masks where they were.
    """
    drawn = drawn_scores(run.counts, drawn_weights(run.counts.groups))
    cards = [(name, *shown(drawn[name])) for name in SUMMARY]
    of_images = scores_of_pixels(run.counts.class_counts())
    facts = {"images": len(run.counts), **run.facts.get("run", {})}
    sections = [
        per_class(run, drawn),
        _confusion(run, out),
        *_details(run, out),
        *_examples(run, out, of_images["mIoU"]),
        _per_image(run, of_images),
        {"title": "How it was made", "columns": ["fact", "value"], "rows": list(facts.items())},
    ]
    return write_page(out / "index.html", f"{run.config}: test", cards, sections)


def shown(values: np.ndarray) -> tuple[str, str]:
    """Return a score of (1 + DRAWS,) and its 95 % interval, an empty text if there is none."""
    low, high = interval(values)
    return f"{values[0]:.2f}", "" if np.isnan(low) else f"{low:.2f} to {high:.2f}"


def per_class(run: Run, drawn: dict[str, np.ndarray]) -> Section:
    """Return the table of the scores of each class with their intervals."""
    pixels = run.counts.matrix().sum(1)
    rows = []
    for k, name in enumerate(run.counts.classes):
        cells = [cell for key in PER_CLASS for cell in shown(drawn[key][:, k])]
        rows.append([name, *cells, pixels[k]])
    places = len(set(run.counts.groups))
    text = f"In percent, with 95 % intervals from a bootstrap of {places} places."
    if places == 1:
        text = "In percent. There is no interval, because all images are of one place."
    columns = ["class", *(c for n in PER_CLASS.values() for c in (n, f"{n} 95 %")), "pixels"]
    table = {"columns": columns, "rows": rows, "file": "classes.csv"}
    return {"title": "Classes", "texts": [text, "nan: the class has no pixel."], **table}


def _confusion(run: Run, out: Path) -> Section:
    matrix, classes = run.counts.matrix(), run.counts.classes
    wrong = matrix * (1 - np.eye(len(matrix), dtype=np.int64))
    texts = []
    for cell in np.argsort(-wrong, axis=None)[:5]:
        truth, found = divmod(int(cell), len(wrong))
        if wrong[truth, found]:
            share = matrix[truth, found] / matrix[truth].sum()
            texts.append(f"{share:.1%} of {classes[truth]} is called {classes[found]}.")
    largest = np.sort(np.argsort(-matrix.sum(1) - matrix.sum(0))[:SHOWN_CLASSES])
    if len(largest) < len(matrix):
        texts.append(f"The picture has the {len(largest)} largest of {len(matrix)} classes.")
    part = matrix[np.ix_(largest, largest)]
    plot = figures.confusion(out / "confusion", part, classes[largest].tolist())[1]
    rows = [[name, *row] for name, row in zip(classes, matrix.tolist(), strict=True)]
    write_csv(out / "confusion.csv", ["truth \\ prediction", *classes], rows)
    return {"title": "Confusions", "texts": texts, "plot": plot}


def _details(run: Run, out: Path) -> Iterator[Section]:
    path = run.path.with_suffix(".detail.npz")
    if not path.is_file():
        return
    with np.load(path) as file:
        detail = dict(file)
    classes = run.counts.classes
    pairs = (detail["boundary"], detail["contour"], *detail["sizes"])
    measures = [percent(each[:, 0], each[:, 1]) for each in pairs]
    text = (
        "Boundary IoU counts pixels within 2 % of the image's diagonal of an edge. Boundary F1 "
        f"lets edges differ by 0.75 % of it. Objects are small up to {SIZES[0]} pixels and medium "
        f"up to {SIZES[1]}. A wrong pixel counts for the size of its true and of its predicted "
        "object."
    )
    sized = [f"IoU of {name} objects" for name in ("small", "medium", "large")]
    yield {
        "title": "Boundaries and sizes",
        "texts": [text],
        "columns": ["class", "boundary IoU", "boundary F1", *sized],
        "rows": [
            [n, *(f"{v:.2f}" for v in row)] for n, *row in zip(classes, *measures, strict=True)
        ],
        "file": "boundaries.csv",
    }
    if detail["calibration"].any():
        errors = calibration_error(detail["calibration"])
        yield {
            "title": "Calibration",
            "texts": [
                f"The expected calibration error is {errors[-1]:.4f}: the probability of the "
                "predicted class differs so much, on average, from the share of right pixels. "
                f"The mean of the errors of the classes is {errors[:-1].mean():.4f}. Every fifth "
                "pixel in both directions is counted."
            ],
            "plot": figures.reliability(out / "calibration", detail["calibration"][-1])[1],
            "columns": ["class", "calibration error"],
            "rows": [[n, f"{e:.4f}"] for n, e in zip(classes, errors[:-1], strict=True)],
            "file": "calibration.csv",
        }


def _per_image(run: Run, scores: Scores) -> Section:
    texts = ([f"{value:.2f}" for value in scores[name]] for name in ("mIoU", "aAcc"))
    images = list(zip(run.counts.names, *texts, run.counts.groups, strict=True))
    rows = [images[i] for i in np.argsort(scores["mIoU"])]
    cut = f"The page shows the worst {SHOWN_ROWS}; per_image.csv has all {len(rows)}."
    return {
        "title": "Images",
        "texts": [cut] if len(rows) > SHOWN_ROWS else [],
        "columns": ["image", "mIoU", "accuracy", "place"],
        "rows": rows,
        "file": "per_image.csv",
    }


def _examples(run: Run, out: Path, scores: np.ndarray) -> Iterator[Section]:
    predictions = out / "predictions"
    if not predictions.is_dir():
        return
    order = np.argsort(scores)[: np.count_nonzero(~np.isnan(scores))]
    starts = 0, (len(order) - EXAMPLES) // 2, len(order) - EXAMPLES
    ranks = {rank for start in starts for rank in range(start, start + EXAMPLES)}
    images, texts = [], ["Errors are orange; what has no truth is black."]
    for rank in sorted(ranks & {*range(len(order))}):
        i = order[rank]
        name = run.counts.names[i]
        caption = f"{name}: mIoU {scores[i]:.2f}, number {rank + 1} of {len(order)} from the worst"
        try:
            images.append((_picture(run, i, predictions), caption))
        except UserError:
            texts.append(f"{name}: image, mask or prediction are not, or no longer, as tested.")
    yield {"title": "The worst, the median and the best", "texts": texts, "images": images}


def _picture(run: Run, index: int, predictions: Path) -> str:
    """Draw an image with truth, prediction and errors as the address of a JPEG.

    Raises `UserError` if they are not as tested.
    """
    name, classes = str(run.counts.names[index]), run.facts["classes"]
    image = read_picture(name, run.facts)
    truth, prediction = (
        to_train_ids(read_mask(path), len(classes), run.facts["reduce_zero_label"], path)
        for path in (str(run.counts.masks[index]), str(OutputNames(predictions)(name)))
    )
    found = confusion_matrix(torch.from_numpy(prediction), torch.from_numpy(truth), len(classes))
    tested = run.counts.matrix(slice(index, index + 1))
    if image.shape[:2] != truth.shape or (found.numpy() != tested).any():
        raise UserError(f"{name}: not as tested")
    look = classes, run.facts["palette"], 0.6
    file = io.BytesIO()
    drawn = panels(Path(name).name, image, *look, prediction, truth, SIDE)
    Image.fromarray(drawn).save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
