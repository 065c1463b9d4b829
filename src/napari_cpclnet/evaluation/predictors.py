"""Interface of the methods that are evaluated, and the network as one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from numpy.typing import NDArray

from napari_cpclnet.imaging import Volume
from napari_cpclnet.segmentation import Segmenter, SliceResult, SupportSet

OnSlice = Callable[[SliceResult], None]


class Predictor(Protocol):
    """Something that segments a scan after painted slices of another.

    It gets the painted slices, and the query's image and geometry: no path, no name, no patient, no truth.
    """

    @property
    def name(self) -> str:
        """Name in tables; fit for a file name."""
        ...

    def predict(self, support: SupportSet, query: Volume) -> NDArray[Any]:
        """Label values of the support, (z, y, x) of integers on the query's grid."""
        ...


class NetworkPredictor:
    """The network, as a user runs it.

    Parameters
    ----------
    segmenter : Segmenter
    watch : callable, optional
        Called after every slice; what it raises ends the prediction.
    """

    name = "CPCLNet"

    def __init__(self, segmenter: Segmenter, watch: OnSlice | None = None) -> None:
        self._segmenter = segmenter
        self._watch = watch
        self.quick = False
        self.confidence: dict[int, float] = {}
        """Dice to expect of the last answer, by label value."""

    def predict(self, support: SupportSet, query: Volume) -> NDArray[Any]:
        """Post-processed labels of the whole scan."""
        self._segmenter.set_support(support)
        found = self._segmenter.predict(query, align=False) if self.quick else self._segmenter.predict(query)
        for result in found:
            if self._watch is not None:
                self._watch(result)
        self.confidence = {one.value: one.confidence for one in self._segmenter.summary().classes}
        return self._segmenter.result().labels
