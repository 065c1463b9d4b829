"""What the user can set for a run, in plain Python: no Qt, no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_cpclnet.imaging import Segmentation, Volume
    from napari_cpclnet.segmentation import SegmentationSettings, SliceResult, SupportSet

PLANES = {
    "axial": "Axial",
    "coronal": "Coronal",
    "sagittal": "Sagittal",
    "native": "As stored",
}
DEVICES = {
    "auto": "Automatic",
    "cpu": "CPU",
    "cuda": "NVIDIA GPU (CUDA)",
    "mps": "Apple GPU (MPS)",
}


@dataclass(frozen=True)
class PostProcessing:
    """What is done to a finished label map when the user wants something else than the recommended."""

    largest_component: bool = False
    fill_holes: bool = False
    minimum_ml: float = 0.0
    closing_mm: float = 0.0
    refine: bool = False


@dataclass(frozen=True)
class Options:
    """Options of a run; ``postprocessing=None`` means what the benchmark recommends."""

    plane: str = "axial"
    device: str = "auto"
    postprocessing: PostProcessing | None = field(default=None)

    def settings(self) -> SegmentationSettings:
        """The same as settings of the segmentation core (imports torch: call it in a worker)."""
        from napari_cpclnet.segmentation import PostprocessingSettings, SegmentationSettings

        chosen: dict[str, Any] = {"plane": self.plane, "device": self.device}
        if self.postprocessing is not None:
            chosen["postprocessing"] = PostprocessingSettings(**vars(self.postprocessing))
        return SegmentationSettings(**chosen)


class SegmenterLike(Protocol):
    """The part of the Segmenter that the panel uses."""

    def set_support(self, support: SupportSet) -> None: ...

    def predict(self, volume: Volume, *, start_slice: int | None = None) -> Iterator[SliceResult]: ...

    def result(self) -> Segmentation: ...


SegmenterFactory = Callable[[Options], SegmenterLike]


class BundledSegmenter:
    """Factory of Segmenters with the bundled weights, loaded once per device and kept."""

    def __init__(self) -> None:
        self._models: dict[str, Any] = {}

    def __call__(self, options: Options) -> SegmenterLike:
        """Load the weights if need be and build the Segmenter; takes seconds the first time."""
        from napari_cpclnet.model import choose_device, load_weights
        from napari_cpclnet.segmentation import Segmenter

        device = str(choose_device(options.device))
        if device not in self._models:
            self._models[device] = load_weights(device=device)
        return Segmenter(self._models[device], options.settings())
