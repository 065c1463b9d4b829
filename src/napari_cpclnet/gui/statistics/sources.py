"""Labels of a session that the statistics measure. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cpclnet.gui.jobs.statistics_job import MeasuredLabels, StatisticsJob
from napari_cpclnet.gui.layers.corrections import is_result
from napari_cpclnet.gui.layers.scan_layers import FileScan, LayerScan, labels_array, refusal
from napari_cpclnet.gui.session.reuse import scan_in_view

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from napari.layers import Labels

    from napari_cpclnet.gui.session.session import Session

PAINTED = " (painted)"
"""Behind the name of a scan whose annotation layer is measured: only what is painted counts."""


def statistics_job(
    session: Session, *, all_scans: bool, known: tuple[Hashable, ...] | None = None
) -> StatisticsJob:
    """Results and annotation layers of the scan in view, or of all scans, files with a saved result among them."""
    wanted = None if all_scans else scan_in_view(session)
    parts = [part for source, part in _parts(session) if all_scans or source is wanted]
    names = {value: info.name for value, info in session.classes.items()}
    return StatisticsJob(tuple(parts), names, known)


def measured_layers(session: Session) -> list[Labels]:
    """Layers whose change makes the table another."""
    results = [one.layer for one in session.results if one.layer is not None]
    return list(dict.fromkeys([*results, *(pair.labels for pair in session.slices.pairs)]))


def _parts(session: Session) -> Iterator[tuple[object, MeasuredLabels]]:
    listed, painted = session.classes, list(session.slices.pairs)
    for source in (*session.scans(), *session.queries.files):
        found = session.results.of_source(source)
        classes = (
            {} if found is None else {one.value: listed.name(one.value) for one in found.summary.classes}
        )
        if isinstance(source, FileScan):
            saved = session.queries.status(source).saved
            if saved is not None and saved.exists():
                yield source, MeasuredLabels(source, saved, classes, source.name)
            continue
        if refusal(source):
            continue
        if found is not None and found.layer is not None:
            labels = labels_array(found.layer)
            yield source, MeasuredLabels(LayerScan.of(source), labels, classes, source.name)
        for pair in painted:
            if pair.scan is source and not is_result(pair.labels):
                labels = labels_array(pair.labels)
                yield source, MeasuredLabels(LayerScan.of(source), labels, {}, f"{source.name}{PAINTED}")
