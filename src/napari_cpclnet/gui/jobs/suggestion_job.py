"""Suggestion of the slice to paint next, asked in another thread. No Qt."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_cpclnet.errors import SupportError
from napari_cpclnet.gui.jobs.device_status import Ready, describe
from napari_cpclnet.gui.jobs.scan_reading import RunStopped, Stage, reading_scan, reading_scans
from napari_cpclnet.gui.jobs.segment_job import Cancelled, ScanFailed, SupportPart, support_set, user_message
from napari_cpclnet.gui.layers.scan_layers import LayerScan

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_cpclnet.gui.jobs.segmenters import SegmenterFactory
    from napari_cpclnet.segmentation.settings import RunSettings


@dataclass(frozen=True, eq=False)
class SuggestionJob:
    """A scan, what is painted so far (``classes``: of that), and the classes that are ``wanted``.

    ``layer``: for the GUI thread; ``part``: the number of the support part on the same scan, if there is one.
    """

    scan: LayerScan
    layer: Image
    axis: int
    part: int | None
    supports: tuple[SupportPart, ...]
    classes: dict[int, str]
    wanted: dict[int, str]
    options: RunSettings
    cancelled: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class SliceExamined:
    """Slices of the scan that were looked through, and slices in all."""

    done: int
    total: int


@dataclass(frozen=True)
class Suggested:
    """The slice to paint, and why in one sentence."""

    index: int
    reason: str


SuggestionReport = Stage | Ready | SliceExamined | Suggested | ScanFailed | Cancelled


def run_suggestion(
    job: SuggestionJob, make_segmenter: SegmenterFactory
) -> Generator[SuggestionReport, None, None]:
    """Suggest a slice; the scan is labelled first if that was not the last thing done.

    Consumed in a worker thread. Never raises.
    """
    try:
        yield Stage("Loading the network…")
        segmenter: Any = make_segmenter(job.options)
        yield Ready(*describe(segmenter, job.options))
        volumes = yield from reading_scans([part.scan for part in job.supports], job.cancelled.is_set)
        if job.part is None:
            volume = yield from reading_scan(job.scan, job.cancelled.is_set)
        else:
            volume = volumes[job.part]
        if not job.supports:
            segmenter.clear_support()
        else:
            yield Stage("Learning from the painted slices…")
            segmenter.set_support(support_set(job.supports, job.classes, volumes))
            if not segmenter.has_run(volume):
                with closing(segmenter.predict(volume)) as slices:
                    for result in slices:
                        if job.cancelled.is_set():
                            yield Cancelled()
                            return
                        yield SliceExamined(result.done, result.total)
        if job.cancelled.is_set():
            yield Cancelled()
            return
        yield Stage("Choosing a slice…")
        yield suggested(segmenter, volume, job.wanted)
    except RunStopped:
        yield Cancelled()
    except Exception as error:  # noqa: BLE001 - the panel must hear of everything
        yield ScanFailed(None, user_message(error))


def suggested(segmenter: Any, volume: Any, wanted: dict[int, str]) -> Suggested:
    """The best suggestion; SupportError if no slice is left."""
    from napari_cpclnet.segmentation import suggest

    found = suggest(segmenter, volume, classes=wanted, count=1)
    if not found:
        raise SupportError(f"'{volume.name}' has no other slice that shows anything.")
    return Suggested(found[0].index, found[0].reason)
