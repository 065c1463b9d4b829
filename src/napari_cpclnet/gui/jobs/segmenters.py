"""Factory of Segmenters for the jobs of the panel, and the part of a Segmenter that they use. No Qt."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from napari_cpclnet.segmentation.settings import RunSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from napari_cpclnet.imaging import Segmentation, Volume
    from napari_cpclnet.segmentation import (
        Corrections,
        SliceResult,
        Summary,
        SupportSet,
    )


class SegmenterLike(Protocol):
    """The part of the Segmenter that the panel uses."""

    def set_support(self, support: SupportSet) -> None: ...

    def predict(
        self,
        volume: Volume,
        *,
        start_slice: int | None = None,
        keep_probabilities: bool = False,
        locked: Corrections | None = None,
    ) -> Iterator[SliceResult]: ...

    def result(self) -> Segmentation: ...

    def summary(self) -> Summary: ...

    def result_probability(self) -> np.ndarray: ...

    def result_probabilities(self) -> np.ndarray: ...

    def result_uncertainty(self) -> np.ndarray: ...


SegmenterFactory = Callable[[RunSettings], SegmenterLike]


class SegmenterMaker:
    """Factory of Segmenters; the last weights of each device are kept, and read anew when their file changes."""

    def __init__(self) -> None:
        self._models: dict[str, tuple[Any, Any]] = {}
        self._kept: Any = None

    def __call__(self, options: RunSettings) -> SegmenterLike:
        """Load the weights if need be and build the Segmenter; takes seconds the first time."""
        from napari_cpclnet.segmentation import Segmenter

        model = self._model(options)
        if options.adapt:  # what one run learns is not for the next
            model = copy.deepcopy(model)
        return Segmenter(model, options)

    def same(self, options: RunSettings) -> SegmenterLike:
        """The Segmenter of the last call with these weights on this device, with the options as they are now.

        A scan that it has seen is not encoded again. Only for work of which one is done at a time.
        """
        if options.adapt:
            return self(options)
        from napari_cpclnet.model import choose_device

        kept = self._kept
        # Where the GPU's memory did not suffice it is on the CPU now, and starts anew.
        here = kept is not None and str(kept.device) == str(choose_device(options.device))
        if here and kept.model is self._model(options):
            kept.configure(options)
        else:
            self._kept = None  # its memory is wanted for the next
            self._kept = self(options)
        return self._kept

    def _model(self, options: RunSettings) -> Any:
        from napari_cpclnet.model import bundled_weights, choose_device, load_weights

        device = str(choose_device(options.device))
        path = options.weights or bundled_weights()
        stamp = _stamp(path)
        kept, model = self._models.get(device, (None, None))
        if model is None or kept != stamp:
            model = load_weights(path, device=device)
            self._models[device] = (stamp, model)
        return model


def _stamp(path: Path) -> tuple[Any, ...]:
    """Another value whenever the file is replaced, as training does with its best weights."""
    try:
        state = path.stat()
    except OSError:
        return (path,)  # loading it says what is wrong
    return path, state.st_mtime_ns, state.st_size
