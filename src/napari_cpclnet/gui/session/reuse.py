"""Reuse of a result: its slice in view as support, its corrections given back. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels

from napari_cpclnet.errors import SupportError
from napari_cpclnet.gui.layers.corrections import changes, is_result, unlock
from napari_cpclnet.gui.layers.overlays import belongs_to
from napari_cpclnet.gui.layers.scan_layers import (
    geometry_of,
    labels_array,
    note,
    refusal,
    same_grid,
    slice_axis,
)
from napari_cpclnet.gui.layers.support_slices import SupportPair
from napari_cpclnet.gui.layers.undoing import history_kept
from napari_cpclnet.gui.layers.view import slice_in_view, slice_words

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_cpclnet.gui.session.session import Session


def scan_in_view(session: Session) -> Image | None:
    """The scan one looks at: that of the selected layer if it is visible, else the topmost visible one."""
    scans = [scan for scan in session.scans() if not refusal(scan)]
    shown = [scan for scan in scans if scan.visible]
    active = session.viewer.layers.selection.active
    if active is not None:
        own = [scan for scan in shown if scan is active or belongs_to(active, scan)]
        on_it = [scan for scan in shown if same_grid(scan, active)] if isinstance(active, Labels) else []
        if own or on_it:
            return (own or on_it)[0]
    return next(iter(shown or scans), None)


def result_in_view(session: Session) -> tuple[Image, Labels] | None:
    """The result one looks at, with its scan: the selected one, or the topmost one of the scan in view."""
    scan = scan_in_view(session)
    if scan is None:
        return None
    results = [layer for layer in reversed(session.viewer.layers) if _is_result_of(layer, scan)]
    active = session.viewer.layers.selection.active
    if active in results:
        return scan, active
    best = [layer for layer in results if layer.visible] or results
    return (scan, best[0]) if best else None


def use_slice(session: Session) -> str:
    """Copy the slice in view of a result, as it was corrected, to the painted slices of its scan; says what was done.

    Where nothing was found on the slice it is marked as free of the classes.

    Raises
    ------
    SupportError
        If there is no result.
    """
    scan, result = _some_result(session)
    axis = slice_axis(geometry_of(scan), session.slices.plane_for(scan))
    index = slice_in_view(session.viewer, result, axis)
    picture = np.moveaxis(labels_array(result), axis, 0)[index]
    labelled = session.is_ticked(scan)
    session.classes.ensure(int(value) for value in np.unique(picture))
    labels = session.support_labels_of(scan)
    _widen(labels, int(picture.max(initial=0)))
    pair = SupportPair(scan, labels)
    if not labels_array(labels).any():
        session.slices.slice_along(pair, axis)
    session.slices.replace_slice(pair, axis, index, picture)
    if labelled:  # a scan that is painted is not labelled by itself any more, but here it is refined
        session.tick_query(scan, True)
    session.class_actions.publish()
    work_on(session, scan)
    what = "marked as empty" if not picture.any() else "painted"
    where = slice_words(session.viewer, scan, axis, index).capitalize()
    return f"{where} of {scan.name} was added to the support, {what} in '{labels.name}': press Run to use it."


def work_on(session: Session, scan: Image) -> None:
    """Select what one works on next on a scan: its result to correct, or else its annotation layer to paint.

    The other one is hidden, so that no class is drawn twice on a slice.
    """
    layers = session.viewer.layers
    results = [layer for layer in reversed(layers) if _is_result_of(layer, scan)]
    painted = [
        pair.labels for pair in session.slices.pairs if pair.scan is scan and not is_result(pair.labels)
    ]
    wanted = next(iter(results or painted), None)
    if wanted is None:
        return
    for layer in (*results, *painted):
        if layer.visible != (layer is wanted):
            layer.visible = layer is wanted
    layers.selection.active = wanted


def unlock_corrections(session: Session, *, whole_scan: bool) -> str:
    """Give corrected voxels of the result in view back to the network, on the slice in view or all; says what came.

    Raises
    ------
    SupportError
        If nothing was corrected there.
    """
    scan, result = _some_result(session)
    if "Segment" in session.foreground:  # which keeps what was corrected before it began
        raise SupportError("Corrections are given up between runs: wait for this one to end.")
    corrected, where = changes(result), scan.name
    if not whole_scan:
        axis = slice_axis(geometry_of(scan), session.slices.plane_for(scan))
        index = slice_in_view(session.viewer, result, axis)
        corrected, where = corrected.on_slice(axis, index), f"slice {index} of {scan.name}"
    if not corrected:
        raise SupportError(f"Nothing is corrected on {where}.")
    voxels = corrected.voxels
    back = unlock(result, corrected, session.steps)
    session.results.begin_second_pass(result)
    said = [f"Released {voxels:,} voxel{'' if voxels == 1 else 's'} on {where}: the next run is free there."]
    if back:
        said.append(
            f"{back:,} as the last run left {'it' if back == 1 else 'them'} (Ctrl+Z takes that back)."
        )
    if voxels > back:
        said.append(
            f"{voxels - back:,} corrected before the last run: as {'it is' if voxels - back == 1 else 'they are'}"
            " until the next."
        )
    return " ".join(said)


def _some_result(session: Session) -> tuple[Image, Labels]:
    found = result_in_view(session)
    if found is None:
        raise SupportError("There is no result of the scan in view yet: press Run first.")
    return found


def _is_result_of(layer: object, scan: Image) -> bool:
    if not isinstance(layer, Labels) or not is_result(layer) or note(layer)["written"] is None:
        return False
    return belongs_to(layer, scan) if "of" in note(layer) else same_grid(layer, scan)


def _widen(labels: Labels, highest: int) -> None:
    """Make room for label values."""
    dtype = labels.data.dtype
    if highest > np.iinfo(dtype).max:
        with history_kept(labels):
            labels.data = np.asarray(labels.data).astype(np.min_scalar_type(highest))
