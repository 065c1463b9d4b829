"""Copies of the chosen slices and scans, for a run in another thread. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from napari_cpclnet.errors import OutputError
from napari_cpclnet.gui.jobs.segment_job import Query, SupportPart
from napari_cpclnet.gui.layers.corrections import changes
from napari_cpclnet.gui.layers.scan_layers import FileScan, LayerScan, geometry_of, labels_array, slice_axis
from napari_cpclnet.gui.layers.view import slice_in_view
from napari_cpclnet.gui.session.queries import Queries, QuerySource
from napari_cpclnet.gui.session.result_layers import earlier_result
from napari_cpclnet.imaging import Sliced, plane_like
from napari_cpclnet.segmentation import Corrections

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from napari_cpclnet.gui.layers.support_slices import PaintedSlice
    from napari_cpclnet.imaging import Geometry, Plane


def support_parts(entries: Sequence[PaintedSlice], dtype: np.dtype) -> list[tuple[Image, SupportPart]]:
    """One part for each scan; where several layers are painted on one scan, their labels are laid together.

    Only the slices of ``entries`` are copied, as painting may go on meanwhile; the rest stays untouched memory. Of
    two layers painted at one place, that of the earlier entry counts. Layers painted in two planes are two parts.
    """
    by_scan: dict[tuple[Image, str], list[PaintedSlice]] = {}
    for entry in entries:
        by_scan.setdefault((entry.pair.scan, entry.plane), []).append(entry)
    parts = []
    for (scan, plane), listed in by_scan.items():
        layer_scan = LayerScan.of(scan)
        axis = slice_axis(layer_scan.geometry, plane)
        labels = np.zeros(layer_scan.geometry.shape, dtype)
        slices = np.moveaxis(labels, axis, 0)
        for entry in listed:
            painted = np.moveaxis(labels_array(entry.pair.labels), axis, 0)[entry.index]
            free = slices[entry.index] == 0
            slices[entry.index][free] = painted[free]
        painted_on = {entry.index for entry in listed if entry.values or entry.partial}
        complete = {entry.index for entry in listed if entry.values and not entry.partial}
        absent = {entry.index for entry in listed if entry.absent} - painted_on
        part = SupportPart(
            layer_scan,
            labels,
            tuple(sorted(painted_on)),
            tuple(sorted(absent)),
            plane,
            tuple(sorted(painted_on - complete)),
        )
        parts.append((scan, part))
    return parts


def make_queries(
    sources: Sequence[QuerySource],
    painted: list[Image],
    viewer: ViewerModel,
    plane_for: Callable[[Image], str],
    queries: Queries,
    keep: Collection[Labels] = (),
) -> tuple[Query, ...]:
    """Queries of the ticked scans, ``painted`` being the scans of the support parts.

    ``plane_for`` says in which plane a scan is labelled.
    Earlier results but those in ``keep`` are filled again, and their corrected voxels are locked.

    Raises
    ------
    OutputError
        If scans in files have no folder for their results.
    """
    if queries.save_to.folder is None and any(isinstance(source, FileScan) for source in sources):
        raise OutputError("Choose a folder for the results: scans in files are not opened.")
    paths = queries.paths(source.name for source in sources)
    made: list[Query] = []
    for source, path in zip(sources, paths, strict=True):
        if isinstance(source, FileScan):
            made.append(Query(source, save_to=path))
            continue
        scan = LayerScan.of(source)
        axis = slice_axis(scan.geometry, plane_for(source))
        part = painted.index(source) if source in painted else None
        result = earlier_result(viewer, source, keep)
        locked = None if result is None else locked_voxels(result)
        start = slice_in_view(viewer, source, axis)
        made.append(Query(scan, source, axis, start, part, path, result, locked))
    return tuple(made)


def answering_plane(geometry: Geometry, used: Iterable[PaintedSlice]) -> str:
    """The plane in which a scan is labelled from painted slices, as the Segmenter chooses it."""
    return plane_like(
        geometry, [Sliced(geometry_of(one.pair.scan), cast("Plane", one.plane)) for one in used]
    )


def locked_voxels(result: Labels) -> Corrections | None:
    """Copy of what was corrected on a result; None if nothing was."""
    found, labels = changes(result), labels_array(result)
    if not found:
        return None
    mask = found.mask(labels.shape)
    copied = np.where(mask, labels, 0)
    if copied.dtype.kind != "u":
        copied = copied.astype(np.min_scalar_type(max(int(copied.max(initial=0)), 0)))
    return Corrections(mask, copied)
