"""Painted slices carried through their own scan, class by class, and labels of all slices made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import SupportError
from napari_cpclnet.imaging import Segmentation
from napari_cpclnet.propagation.carrying import LIMIT, ClassScores, propagating
from napari_cpclnet.propagation.completion import completing
from napari_cpclnet.propagation.scribbles import Scribbled
from napari_cpclnet.propagation.settings import PropagationSettings

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume


@dataclass(frozen=True)
class PropagationReport:
    """Progress of a propagation.

    Parameters
    ----------
    done, total : int
        Steps finished, and steps in all.
    value : int
        Label value of the class that is worked on.
    """

    done: int
    total: int
    value: int


class Propagation:
    """Labels of a whole scan from its painted slices.

    Parameters
    ----------
    volume : Volume
        The scan, any orientation.
    painted : mapping of int to ndarray (h, w)
        Label values of completely labelled slices along `axis`, in array order; a slice of zeros says that no class is
        there.
    axis : int
        Array axis that was sliced.
    classes : mapping of int to str
        Label values and names.
    settings : PropagationSettings, optional
    scribbled : mapping of int to Scribbled, optional
        Slices of which only some pixels are known.

    Raises
    ------
    SupportError
        If no slice shows a class, or a slice does not lie in the scan.
    """

    def __init__(
        self,
        volume: Volume,
        painted: Mapping[int, NDArray[Any]],
        axis: int,
        classes: Mapping[int, str],
        settings: PropagationSettings | None = None,
        scribbled: Mapping[int, Scribbled] | None = None,
    ) -> None:
        self.volume, self.axis, self.classes = volume, axis, dict(sorted(classes.items()))
        self.settings = settings or PropagationSettings()
        self._pictures = np.moveaxis(volume.array, axis, 0)
        spacing = volume.geometry.spacing
        order = (axis, *(a for a in range(3) if a != axis))
        self._spacing = (float(spacing[order[0]]), float(spacing[order[1]]), float(spacing[order[2]]))
        self._painted = dict(sorted(painted.items()))
        self._scribbled = dict(sorted((scribbled or {}).items()))
        shown = {**self._painted, **{i: one.labels for i, one in self._scribbled.items()}}
        for index, labels in shown.items():
            if not 0 <= index < len(self._pictures) or labels.shape != self._pictures.shape[1:]:
                raise SupportError(f"'{volume.name}' has no slice {index} of shape {labels.shape}.")
        if not any(np.isin(labels, list(self.classes)).any() for labels in shown.values()):
            raise SupportError("No slice shows a class: paint a class on at least one slice.")
        shape = self._pictures.shape
        self._labels = np.zeros(shape, np.min_scalar_type(max(self.classes)))
        self._best = np.zeros(shape, np.float32)
        self.strengths: dict[int, float] = {}
        """How much grey values counted for each class, from 0 to 1."""

    def run(self) -> Iterator[PropagationReport]:
        """Run step by step; whoever stops consuming it cancels."""
        steps_of_class = 100
        total = steps_of_class * len(self.classes)
        painted = dict(self._painted)
        completed = completing(
            self._pictures, self._spacing, painted, self._scribbled, list(self.classes), self.settings
        )
        while self._scribbled:
            try:
                next(completed)
            except StopIteration as done:
                painted |= {index: one.labels for index, one in done.value.items()}
                break
            yield PropagationReport(0, total, min(self.classes))
        for place, value in enumerate(self.classes):
            for step, found in enumerate(
                propagating(
                    self._pictures, self._spacing, painted, value, self.settings, self._scribbled.keys()
                )
            ):
                if found is not None:
                    self.strengths[value] = found.strength
                    for _ in self._compete(value, found):
                        yield PropagationReport(place * steps_of_class + steps_of_class - 1, total, value)
                yield PropagationReport(place * steps_of_class + min(step, steps_of_class - 1), total, value)
        for index, labels in self._painted.items():
            self._labels[index] = np.where(np.isin(labels, list(self.classes)), labels, 0)
            self._best[index] = LIMIT
        for index, one in self._scribbled.items():
            kept = np.where(np.isin(one.labels, list(self.classes)), one.labels, 0)
            np.copyto(self._labels[index], kept, where=one.known, casting="unsafe")
            self._best[index][one.known] = LIMIT
        yield PropagationReport(total, total, max(self.classes))

    def _compete(self, value: int, found: ClassScores) -> Iterator[None]:
        """Take the voxels on which this class speaks louder than those before."""
        grid = found.grid
        for index in range(grid.slices[0], grid.slices[-1] + 1):
            score = grid.native(found.scores, index)
            best = self._best[index, grid.rows, grid.columns]
            better = score > best
            best[better] = score[better]
            self._labels[index, grid.rows, grid.columns][better] = value
            yield

    def result(self) -> Segmentation:
        """Labels on the scan's own grid; painted slices exactly as painted."""
        labels = np.ascontiguousarray(np.moveaxis(self._labels, 0, self.axis))
        name = f"{self.volume.name} propagated"
        return Segmentation(labels, dict(self.classes), self.volume.geometry, name)

    def probability(self) -> NDArray[np.uint8]:
        """Probability of the label where there is one, (z, y, x); 255 is 1, 0 where there is none."""
        found = np.zeros(self._best.shape, np.uint8)
        inside = self._labels > 0
        found[inside] = np.rint(255 / (1 + np.exp(-self._best[inside])))
        return np.ascontiguousarray(np.moveaxis(found, 0, self.axis))
