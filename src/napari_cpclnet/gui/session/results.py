"""Results of the last runs, scan by scan, for the table of results. No Qt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from napari.layers import Image

from napari_cpclnet.gui.layers.corrections import Changes, changes
from napari_cpclnet.project import SummaryEntry
from napari_cpclnet.project.schema import ClassSummaryEntry

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels, Layer

    from napari_cpclnet.gui.session.queries import QuerySource
    from napari_cpclnet.project import SummaryEntry
    from napari_cpclnet.segmentation import ClassSummary, Summary


@dataclass(frozen=True, eq=False)
class ScanResult:
    """Result of one scan.

    ``layer``: None for a scan that is only in a file; ``axis``: array axis along which slices were counted;
    ``summary``: of the run, or as a project kept it; ``voxel_ml``: None where the scan has no physical size;
    ``changes``: what was corrected since; ``reviewed``: slices to review that were looked at and accepted.
    """

    source: QuerySource
    layer: Labels | None
    axis: int
    summary: Summary | SummaryEntry
    voxel_ml: float | None = None
    changes: Changes = field(default_factory=Changes)
    reviewed: frozenset[int] = frozenset()

    @property
    def to_review(self) -> tuple[int, ...]:
        """Slices that are worth a look, from the first to the last, reviewed or not."""
        return tuple(sorted({one.index for one in self.summary.uncertain}))

    @property
    def name(self) -> str:
        """Name of the scan."""
        return str(self.source.name)

    def volume(self, one: ClassSummary | ClassSummaryEntry) -> float:
        """Millilitres of a class as it is now, with its corrections; voxels where the scan has no physical size."""
        return one.ml + self.changes.gained.get(one.value, 0) * (self.voxel_ml or 1.0)

    def entry(self) -> SummaryEntry:
        """The same for a project (imports pydantic: call it in a worker)."""
        volumes = {one.value: self.volume(one) for one in self.summary.classes}
        return SummaryEntry.of(self.summary, self.axis, self.voxel_ml, volumes, self.reviewed)

    @property
    def corrected(self) -> str:
        """What was corrected, in words; empty if nothing was."""
        voxels, slices = self.changes.voxels, self.changes.slices(self.axis)
        if not voxels:
            return ""
        return (
            f"{voxels:,} voxel{'' if voxels == 1 else 's'} corrected "
            f"on {slices} slice{'' if slices == 1 else 's'}"
        )


class Results:
    """Results in the order in which their scans were first labelled."""

    def __init__(self) -> None:
        self._results: dict[QuerySource, ScanResult] = {}

    def __iter__(self) -> Iterator[ScanResult]:
        return iter(tuple(self._results.values()))

    def __len__(self) -> int:
        return len(self._results)

    def of_source(self, source: QuerySource) -> ScanResult | None:
        """Result of a scan."""
        return self._results.get(source)

    def put(self, result: ScanResult) -> None:
        """Add a result or replace that of the same scan."""
        found = Changes() if result.layer is None else changes(result.layer)
        self._results[result.source] = replace(result, changes=found)

    def of(self, layer: Layer) -> ScanResult | None:
        """Result that a layer shows."""
        return next((one for one in self if one.layer is layer), None)

    def review(self, source: QuerySource, index: int) -> None:
        """Remember that a slice was looked at and is right as it is now."""
        found = self._results[source]
        if index in found.to_review:
            self._results[source] = replace(found, reviewed=found.reviewed | {index})

    @property
    def progress(self) -> tuple[int, int]:
        """How many of the slices to review of all scans were reviewed, and how many there are."""
        wanted = [{*one.to_review} for one in self]
        done = sum(len(slices & one.reviewed) for slices, one in zip(wanted, self, strict=True))
        return done, sum(map(len, wanted))

    def begin_second_pass(self, layer: Labels) -> ScanResult | None:
        """Count anew what was corrected on a layer; None if nothing is known of it."""
        found = self.of(layer)
        if found is not None:
            self.put(found)
        return self.of(layer)

    def forget_removed(self, viewer: ViewerModel) -> None:
        """Drop results whose scan or layer left the viewer."""
        for source, one in tuple(self._results.items()):
            gone = isinstance(source, Image) and source not in viewer.layers
            if gone or (one.layer is not None and one.layer not in viewer.layers):
                del self._results[source]
