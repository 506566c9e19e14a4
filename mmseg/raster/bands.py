"""From windows to finished strips: the loop that maps a scene, band of rows by band of rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmseg.raster.background import WriteBehind, read_ahead
from mmseg.raster.blend import BandAccumulator
from mmseg.raster.clock import Clock
from mmseg.raster.cog import FULL, NODATA
from mmseg.raster.predict import WindowPredictor
from mmseg.raster.scene import Scene
from mmseg.raster.strips import Workshop
from mmseg.raster.windows import WindowAxis, rows_for_strips

Progress = Callable[[int, int], None]
"""Called with how many windows are done and how many there are."""

# Rows turned into class ids at a time: the ids are int64 at first, eight times their final size.
CHUNK = 32


@dataclass(frozen=True)
class Grid:
    """The windows of a scene."""

    rows: WindowAxis
    columns: WindowAxis
    batch_size: int


class BandMapper:
    """Maps strips of one scene with one model."""

    def __init__(
        self, scene: Scene, grid: Grid, predictor: WindowPredictor, workshop: Workshop, clock: Clock
    ) -> None:
        self.scene = scene
        self.grid = grid
        self.predictor = predictor
        self.workshop = workshop
        self.clock = clock
        self.band = BandAccumulator(
            predictor.num_classes, grid.rows, grid.columns, predictor.device
        )

    @torch.inference_mode()
    def map(self, strips: Sequence[int], progress: Progress) -> None:
        """Write strips, given in ascending order, to the workshop."""
        rows = rows_for_strips(list(strips))
        ahead = read_ahead(lambda row: self._read(row[0]), rows)
        with WriteBehind(self.workshop.write) as write:
            for number, (row, wanted) in enumerate(rows):
                with self.clock("waiting for the reader"):
                    image, valid = next(ahead)
                self._predict(row, image, valid)
                if wanted:
                    with self.clock("blending"):
                        layers = self._finish(row, valid)
                    with self.clock("waiting for the writer"):
                        write(row, layers)
                self.band.next_row()
                progress(
                    (number + 1) * self.grid.columns.count, len(rows) * self.grid.columns.count
                )
            with self.clock("waiting for the writer"):
                write.wait()

    def _read(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Read a row of windows, reflected beyond the border: (3, size, covered), bool alike."""
        rows, columns = self.grid.rows, self.grid.columns
        top = rows.start(row)
        image, valid = self.scene.read(top, min(top + rows.size, rows.length))
        below, beside = rows.size - image.shape[1], columns.covered - columns.length
        image = np.pad(image, ((0, 0), (0, below), (0, beside)), mode="reflect")
        return image, np.pad(valid, ((0, below), (0, beside)))

    def _predict(self, row: int, image: np.ndarray, valid: np.ndarray) -> None:
        """Add a row of windows to the band; those without a pixel to map are skipped.

        A batch never reaches over two rows: it is the same wherever a run begins.
        """
        columns = self.grid.columns
        places = [
            slice(columns.start(c), columns.start(c) + columns.size) for c in range(columns.count)
        ]
        active = [c for c in range(columns.count) if valid[:, places[c]].any()]
        for first in range(0, len(active), self.grid.batch_size):
            batch = active[first : first + self.grid.batch_size]
            windows = np.stack([image[:, :, places[c]] for c in batch])
            probabilities = self.predictor(windows)
            with self.clock("blending"):
                for column, window in zip(batch, probabilities, strict=True):
                    self.band.add(row, column, window)

    def _finish(self, row: int, valid: np.ndarray) -> dict[str, np.ndarray]:
        """Turn a finished strip into uint8 layers (bands, rows, W), nodata where not `valid`."""
        strip = self.band.strip(row)  # (K, rows, W)
        empty = ~valid[: strip.shape[1], : strip.shape[2]]
        layers = {
            name: np.empty((count, *strip.shape[1:]), np.uint8)
            for name, count in self.workshop.layers.items()
        }
        for top in range(0, strip.shape[1], CHUNK):
            part = slice(top, top + CHUNK)
            for name, values in _layers(strip[:, part], list(layers)).items():
                layers[name][:, part] = values.cpu().numpy()
        for layer in layers.values():
            layer[:, empty] = NODATA
        return layers


def _layers(probabilities: Tensor, wanted: Sequence[str]) -> dict[str, Tensor]:
    """(K, rows, W) -> uint8 tensors: class ids, and the probabilities as 0 to `FULL`."""
    highest, ids = probabilities.max(0, keepdim=True)
    layers = {"landcover": ids}
    if "confidence" in wanted:
        layers["confidence"] = (highest * FULL).round()
    if "probabilities" in wanted:
        layers["probabilities"] = (probabilities * FULL).round()
    return {name: values.to(torch.uint8) for name, values in layers.items()}
