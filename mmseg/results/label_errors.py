"""Places whose label is probably wrong (confident learning, Northcutt et al., arXiv 1911.00068)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

IGNORED = 255
CORE = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class Suspect:
    """Connected pixels that are labelled as `label` and that the model takes for `found`.

    `probability` and `given` are the means of the probabilities of these two classes. `outline` is
    (N, 2) of int: column and row of the pixels on its edge.
    """

    image: str
    label: int
    found: int
    pixels: int
    probability: float
    given: float
    outline: np.ndarray

    @property
    def score(self) -> float:
        """How sure the model is, against the label, -1 to 1."""
        return self.probability - self.given


class LabelErrors:
    """Collects suspects image by image. `thresholds` are known when all images are seen."""

    def __init__(self, num_classes: int, min_pixels: int) -> None:
        self.min_pixels = min_pixels
        self.candidates: list[Suspect] = []
        self.trust: list[tuple[str, float]] = []  # mean probability of the labels of each image
        self.sums = np.zeros((num_classes, 2))

    def add(self, image: str, prob: np.ndarray, label: np.ndarray) -> None:
        """Compare probabilities (K, H, W) with labels (H, W) of uint8."""
        known = label != IGNORED
        own = np.take_along_axis(prob, np.where(known, label, 0)[None].astype(int), 0)[0]
        found = prob.argmax(0)
        largest = prob.max(0)
        for k in np.unique(label[known]):
            self.sums[k] += own[label == k].sum(), (label == k).sum()
        self.trust.append((image, float(own[known].mean()) if known.any() else np.nan))
        wrong = known & (found != label)
        for k in np.unique(found[wrong]):
            for given in np.unique(label[wrong & (found == k)]):
                mask = (wrong & (found == k) & (label == given)).astype(np.uint8)
                # Strips along edges, where a model is never sure, are no suspects.
                mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, CORE)
                self._add_parts(image, mask, (int(given), int(k)), own, largest)

    def _add_parts(
        self,
        image: str,
        mask: np.ndarray,
        classes: tuple[int, int],
        own: np.ndarray,
        largest: np.ndarray,
    ) -> None:
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
        for part in range(1, count):
            pixels = int(stats[part, cv2.CC_STAT_AREA])
            if pixels < self.min_pixels:
                continue
            inside = labels == part
            edges, _ = cv2.findContours(
                inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
            )
            means = float(largest[inside].mean()), float(own[inside].mean())
            self.candidates.append(Suspect(image, *classes, pixels, *means, edges[0][:, 0]))

    def suspects(self, least: float) -> list[Suspect]:
        """Return the suspects, the surest first, whose score is at least `least`.

        A candidate counts if its class is as probable as that class is, on average, where it is
        labelled: this is the threshold of confident learning.
        """
        thresholds = self.sums[:, 0] / np.maximum(self.sums[:, 1], 1)
        kept = [each for each in self.candidates if each.probability >= thresholds[each.found]]
        kept = [each for each in kept if each.score >= least]
        return sorted(kept, key=lambda each: (-each.score, each.image))


def rows(suspects: Iterable[Suspect], classes: Sequence[str]) -> list[list[object]]:
    """Return a table of suspects for `COLUMNS`."""
    return [
        [
            each.image,
            classes[each.label],
            classes[each.found],
            each.pixels,
            f"{each.score:.4f}",
            *each.outline.min(0),
            *each.outline.max(0),
        ]
        for each in suspects
    ]


COLUMNS = ("image", "label", "probably", "pixels", "score", "left", "top", "right", "bottom")


def crop_with_outline(image: np.ndarray, suspect: Suspect, side: int = 240) -> np.ndarray:
    """Return the surroundings of a suspect, RGB (side, side, 3), with its outline in yellow."""
    low, high = suspect.outline.min(0), suspect.outline.max(0)
    reach = int((high - low).max() * 0.75) + 16
    middle = (low + high) // 2
    padded = np.pad(image, [(reach, reach), (reach, reach), (0, 0)], constant_values=255)
    drawn = cv2.drawContours(padded, [suspect.outline + reach], -1, (255, 220, 0), 1)
    left, top = middle
    window = drawn[top : top + 2 * reach, left : left + 2 * reach]
    return cv2.resize(window, (side, side), interpolation=cv2.INTER_AREA)
