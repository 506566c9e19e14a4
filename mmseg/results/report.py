"""The report of a test: one HTML page that needs no network, and its tables and plots as files."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import mmcv
import numpy as np
from PIL import Image

from mmseg.errors import UserError
from mmseg.evaluation.bootstrap import drawn_scores, drawn_weights, interval
from mmseg.evaluation.confusion import class_scores, scores
from mmseg.evaluation.detail import SIZES, calibration_error
from mmseg.files import write_whole
from mmseg.imagery.image import read_image
from mmseg.imagery.listing import OutputNames
from mmseg.imagery.mask import read_mask, to_train_ids
from mmseg.imagery.pictures import IGNORED, panels
from mmseg.results import figures
from mmseg.results.page import SHOWN_ROWS, Section, write_page
from mmseg.results.runs import Run
from mmseg.results.tables import comma_separated

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
    out.mkdir(parents=True, exist_ok=True)
    weights = drawn_weights(run.counts.groups)
    ends = {name: interval(values) for name, values in drawn_scores(run.counts, weights).items()}
    found = scores(run.counts.total())
    cards = [
        {
            "name": name,
            "value": f"{found.summary[name]:.2f}",
            "note": f"{ends[name][0]:.2f} to {ends[name][1]:.2f}",
        }
        for name in SUMMARY
    ]
    sections = [
        _per_class(run, ends),
        _confusion(run, out),
        *_details(run, out),
        *_examples(run, out),
        _per_image(run, out),
        _facts(run),
    ]
    return write_page(out / "index.html", f"{run.config}: test", cards, sections)


def _per_class(run: Run, ends: dict[str, np.ndarray]) -> Section:
    matrix = run.counts.total()
    found = scores(matrix).per_class
    rows = []
    for k, name in enumerate(run.counts.classes):
        row = [name]
        for key in PER_CLASS:
            low, high = ends[key][:, k]
            row += [f"{found[key][k]:.2f}", f"{low:.2f} to {high:.2f}"]
        rows.append([*row, matrix[k].sum()])
    places = len(np.unique(run.counts.groups))
    text = (
        f"In percent, with 95 % intervals from a bootstrap of {places} places ({len(run.counts)} "
        "images). nan: the class has no pixel."
    )
    columns = ["class", *(c for n in PER_CLASS.values() for c in (n, f"{n} 95 %")), "pixels"]
    return {
        "title": "Classes", "texts": [text], "columns": columns, "rows": rows, "file": "classes.csv"
    }  # fmt: skip


def _confusion(run: Run, out: Path) -> Section:
    matrix, classes = run.counts.total(), run.counts.classes
    wrong = matrix * (1 - np.eye(len(matrix), dtype=np.int64))
    order = np.argsort(wrong, axis=None)[::-1][:5]
    texts = []
    for truth, found in zip(*np.unravel_index(order, matrix.shape), strict=True):
        if wrong[truth, found]:
            share = matrix[truth, found] / matrix[truth].sum()
            texts.append(f"{share:.1%} of {classes[truth]} is called {classes[found]}.")
    largest = np.sort(np.argsort(matrix.sum(1) + matrix.sum(0))[::-1][:SHOWN_CLASSES])
    if len(largest) < len(matrix):
        texts.append(f"The picture has the {len(largest)} largest of {len(matrix)} classes.")
    figures.confusion(
        out / "confusion", matrix[np.ix_(largest, largest)], [str(classes[k]) for k in largest]
    )
    columns = ["truth \\ prediction", *classes]
    rows = [[name, *row] for name, row in zip(classes, matrix.tolist(), strict=True)]
    write_whole(out / "confusion.csv", comma_separated(columns, rows).encode())
    return {"title": "Confusions", "texts": texts, "svg": figures.svg(out / "confusion.svg")}


def _details(run: Run, out: Path) -> Iterator[Section]:
    path = run.path.with_suffix(".detail.npz")
    if not path.is_file():
        return
    with np.load(path) as file:
        detail = {key: file[key] for key in file.files}
    classes = run.counts.classes
    with np.errstate(invalid="ignore", divide="ignore"):
        boundary = 100 * detail["boundary"][:, 0] / detail["boundary"][:, 1]
        contour = 100 * detail["contour"][:, 0] / detail["contour"][:, 1]
        sizes = 100 * detail["sizes"][..., 0] / detail["sizes"][..., 1]
    rows = [
        [name, *(f"{v:.2f}" for v in (boundary[k], contour[k], *sizes[:, k]))]
        for k, name in enumerate(classes)
    ]
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
        "rows": rows,
        "file": "boundaries.csv",
    }
    if detail["calibration"].any():
        errors = calibration_error(detail["calibration"])
        figures.reliability(out / "calibration", detail["calibration"][-1])
        yield {
            "title": "Calibration",
            "texts": [
                f"The expected calibration error is {errors[-1]:.4f}: the probability of the "
                "predicted class differs so much, on average, from the share of right pixels. "
                f"The mean of the errors of the classes is {errors[:-1].mean():.4f}. Every fourth "
                "pixel in both directions is counted."
            ],
            "svg": figures.svg(out / "calibration.svg"),
            "columns": ["class", "calibration error"],
            "rows": [[n, f"{e:.4f}"] for n, e in zip(classes, errors[:-1], strict=True)],
            "file": "calibration.csv",
        }


def _image_scores(run: Run) -> np.ndarray:
    """Return mIoU and accuracy of each image in percent, float64 (N, 2)."""
    _, summary = class_scores(*run.counts.class_counts())
    return np.stack([summary["mIoU"], summary["aAcc"]], 1)


def _per_image(run: Run, out: Path) -> Section:
    values = _image_scores(run)
    order = np.argsort(values[:, 0])
    rows = [
        [run.counts.names[i], f"{values[i, 0]:.2f}", f"{values[i, 1]:.2f}", run.counts.groups[i]]
        for i in order
    ]
    cut = f"The page shows the worst {SHOWN_ROWS}; per_image.csv has all {len(rows)}."
    return {
        "title": "Images",
        "texts": [cut] if len(rows) > SHOWN_ROWS else [],
        "columns": ["image", "mIoU", "accuracy", "place"],
        "rows": rows,
        "file": "per_image.csv",
    }


def _examples(run: Run, out: Path) -> Iterator[Section]:
    predictions = out / "predictions"
    if not predictions.is_dir():
        return
    values = _image_scores(run)[:, 0]
    order = np.argsort(values)
    order = order[: len(values) - np.isnan(values).sum()]
    middle = max(0, len(order) // 2 - EXAMPLES // 2)
    kinds = {
        "Worst images": order[:EXAMPLES],
        "Median images": order[middle : middle + EXAMPLES],
        "Best images": order[::-1][:EXAMPLES],
    }
    for title, chosen in kinds.items():
        images, texts = [], ["With their mIoU. Errors are orange; what has no truth is black."]
        for i in chosen:
            name = run.counts.names[i]
            if (picture := _picture(run, i, predictions)) is None:
                texts.append(f"{name}: image, mask or prediction are not, or no longer, as tested.")
            else:
                caption = f"{name}: mIoU {values[i]:.2f}"
                images.append({"source": _data_uri(picture), "caption": caption})
        yield {"title": title, "texts": texts, "images": images}


def _picture(run: Run, index: int, predictions: Path) -> np.ndarray | None:
    """Draw an image with truth, prediction and errors; None if they are not those of the test."""
    counts, classes = run.counts, run.facts["classes"]
    name, mask = str(counts.names[index]), str(counts.masks[index])
    try:
        image = mmcv.bgr2rgb(read_image(name))
        truth, prediction = (
            to_train_ids(read_mask(path), len(classes), run.facts["reduce_zero_label"], path)
            for path in (mask, str(OutputNames(predictions)(name)))
        )
    except UserError:
        return None
    tested = slice(*counts.starts[index : index + 2])
    right = counts.counts[tested][counts.cells[tested] % (len(classes) + 1) == 0].sum()
    if not image.shape[:2] == truth.shape == prediction.shape:
        return None
    if np.count_nonzero((truth == prediction) & (truth != IGNORED)) != right:
        return None
    palette = run.facts["palette"]
    return panels(Path(name).name, image, classes, palette, 0.6, prediction, truth, SIDE)


def _facts(run: Run) -> Section:
    facts = {"images": len(run.counts), **run.facts.get("run", {})}
    rows = [[key, str(value)] for key, value in facts.items()]
    return {"title": "How it was made", "texts": [], "columns": ["fact", "value"], "rows": rows}


def _data_uri(image: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
