"""Find the levels in the body of the slices of scans, in another thread. No Qt."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_cpclnet.gui.jobs.scan_reading import RunStopped, read_scan
from napari_cpclnet.gui.jobs.segment_job import user_message

if TYPE_CHECKING:
    from napari_cpclnet.gui.jobs.segmenters import SegmenterFactory
    from napari_cpclnet.gui.layers.scan_layers import LayerScan
    from napari_cpclnet.model.body_level import SliceLevels
    from napari_cpclnet.segmentation.settings import RunSettings


@dataclass(frozen=True, eq=False)
class LevelJob:
    """Scans, each with the layer it is of."""

    scans: tuple[tuple[Any, LayerScan], ...]
    options: RunSettings
    cancelled: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, eq=False)
class LevelsFound:
    """Levels of the slices of a layer; None, and perhaps a sentence, where there are none."""

    layer: Any
    levels: SliceLevels | None
    problem: str = ""


def run_levels(job: LevelJob, make_segmenter: SegmenterFactory) -> Generator[LevelsFound, None, None]:
    """Report the levels of each scan; never raises."""
    for layer, scan in job.scans:
        if job.cancelled.is_set():
            return
        try:
            segmenter: Any = make_segmenter(job.options)
            seen = None
            if hasattr(segmenter, "scan"):  # other segmenters than the network's know no levels
                seen = segmenter.scan(read_scan(scan, job.cancelled.is_set), "axial")
            yield LevelsFound(layer, None if seen is None else seen.slice_levels)
        except RunStopped:
            return
        except Exception as error:  # noqa: BLE001 - the panel must hear of everything
            yield LevelsFound(layer, None, user_message(error))
