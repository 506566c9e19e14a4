"""Write what tools/test.py keeps of a test, from confusion matrices."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmseg.evaluation.per_image import ImageCounts

CLASSES = ("land", "water & ice")


def keep_run(
    folder: Path, matrices: np.ndarray, config: str, seed: int = 0, classes: Sequence[str] = CLASSES
) -> Path:
    """Write eval_x.json and eval_x.images.npz of matrices (N, K, K) to a new folder."""
    images = [
        (f"/d/{i}.png", f"/m/{i}.png", f"{i}", np.flatnonzero(m), m[m != 0])
        for i, m in enumerate(matrices)
    ]
    folder.mkdir(parents=True)
    ImageCounts.of(classes, images).save(folder / "eval_x.images.npz")
    run = {"config": f"configs/{config}.py", "seed": seed}
    content = {"classes": list(classes), "summary": {}, "run": run, "images": len(images)}
    (folder / "eval_x.json").write_text(json.dumps(content))
    return folder


def random_matrices(n: int, share_right: float, seed: int) -> np.ndarray:
    """Draw (n, 2, 2) matrices whose rows, the labels, do not depend on `seed`."""
    labelled = np.random.default_rng(0).integers(50, 200, (n, 2))
    right = np.random.default_rng(seed).binomial(labelled, share_right)
    wrong = labelled - right
    return np.stack(
        [np.stack([right[:, 0], wrong[:, 0]], 1), np.stack([wrong[:, 1], right[:, 1]], 1)], 1
    )
