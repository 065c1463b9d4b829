"""Put an opened project into a viewer and its session. No Qt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cpclnet.gui.layers.class_names import set_class_colors, set_class_names
from napari_cpclnet.gui.layers.corrections import result_note
from napari_cpclnet.gui.layers.label_snapshot import LabelSnapshot, PackedMask
from napari_cpclnet.gui.layers.painted_slices import PAINTED
from napari_cpclnet.gui.layers.scan_layers import KEY, copied_transform, labels_array, volume_to_layer
from napari_cpclnet.gui.layers.support_slices import SupportPair
from napari_cpclnet.gui.layers.view import show_scan
from napari_cpclnet.gui.project.tracker import ProjectTracker, unopened
from napari_cpclnet.gui.session.classes import ClassInfo
from napari_cpclnet.gui.session.queries import SAVE_SUFFIXES, QueryState, SaveTo
from napari_cpclnet.gui.session.result_layers import SUFFIX
from napari_cpclnet.gui.session.results import ScanResult
from napari_cpclnet.imaging import ScanRef
from napari_cpclnet.project import RESULTS, SupportEntry, absolute_path, is_inside, relative_path
from napari_cpclnet.project.headless import run_settings
from napari_cpclnet.segmentation.settings import RunSettings

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Image, Labels

    from napari_cpclnet.gui.session.queries import QuerySource
    from napari_cpclnet.gui.session.session import Session
    from napari_cpclnet.project import Opened, OpenedMask, OpenedScan, Project, QueryEntry, SupportEntry


def restore(session: Session, keeper: ProjectTracker, opened: Opened, *, own: bool) -> None:
    """Add the layers of a project, and set classes, ticks and options to what they were; as `restoring`, at once."""
    for _ in restoring(session, keeper, opened, own=own):
        pass


def restoring(session: Session, keeper: ProjectTracker, opened: Opened, *, own: bool) -> Iterator[None]:
    """Add the layers of a project, and set classes, ticks and options to what they were.

    Yields after each layer, so that a window can live meanwhile: napari takes a tenth of a second for each.

    Parameters
    ----------
    session, keeper
        Of the viewer; other layers stay in it and become part of the project.
    opened
        What was read.
    own
        False for unsaved work.
    """
    with session.arranged():
        yield from _restoring(session, keeper, opened, own)


def _restoring(session: Session, keeper: ProjectTracker, opened: Opened, own: bool) -> Iterator[None]:
    project, folder = opened.project, opened.folder
    session.options = options_of(session, opened)
    session.classes.replace({one.value: ClassInfo(one.name, one.color, one.code) for one in project.classes})
    layers: dict[str, Image] = {}
    entries: dict[Image, Any] = {}
    files: dict[Labels, str] = {}
    for scan in opened.scans:
        entry = scan.found.scan
        layer = _add_scan(session, scan)
        layers[entry.id] = layer
        if scan.found.state != "changed":  # a changed one is looked at anew
            path = relative_path(scan.found.path, folder)
            entries[layer] = entry.model_copy(update={"path": path})
        yield
        for mask in opened.masks_of(entry.id):
            if layer not in session.viewer.layers:
                break  # the user took it away meanwhile
            labels = _add_labels(session, layer, mask)
            yield
            if labels not in session.viewer.layers:
                continue
            _dress(labels, mask)
            if isinstance(mask.entry, SupportEntry):
                files[labels] = mask.entry.mask
                _mark(session, SupportPair(layer, labels), mask.entry)
            else:
                if mask.entry.result:
                    files[labels] = mask.entry.result
                _put_result(session, layer, labels, mask.entry)
            yield
        if len(layers) > 1 and layer in session.viewer.layers:
            layer.visible = False  # one scan is shown at last; hiding the others all at once takes long
            yield
    layers = {name: layer for name, layer in layers.items() if layer in session.viewer.layers}
    entries = {layer: entry for layer, entry in entries.items() if layer in session.viewer.layers}
    files = {labels: file for labels, file in files.items() if labels in session.viewer.layers}
    for query in project.queries:
        if query.scan in layers:
            on = any(one.ticked for one in project.queries if one.scan == query.scan)
            session.tick_query(layers[query.scan], on)
        elif query.path is not None:
            place = absolute_path(query.path, folder)
            for file in session.queries.add_files([ScanRef(place, query.series, query.name or place.name)]):
                session.tick_query(file, query.ticked)
                _put_result(session, file, None, query)
                if query.saved is not None:
                    saved = absolute_path(query.saved, folder)
                    session.queries.set_status(file, QueryState.DONE, saved=saved)
    session.queries.save_to, session.queries.outside = _save_to(opened, own=own)
    keeper.opened(
        folder,
        own=own,
        ids={layer: scan_id for scan_id, layer in layers.items()},
        scans=entries,
        files=files,
        kept=unopened(project, set(layers), set(files.values())),
    )
    _look(session, project, layers, files)


def options_of(session: Session, opened: Opened) -> RunSettings:
    """Options of the project; where it is computed stays as this machine has it."""
    here = {name: getattr(session.options, name) for name in ("device", "precision", "scheduler")}
    return run_settings(opened.project, opened.folder).model_copy(update=here)


def _save_to(opened: Opened, *, own: bool) -> tuple[SaveTo, Path | None]:
    """Where the project's results are saved, and where it wants them if that is outside its folder.

    Who sent the project may have named any folder, so that nothing is saved outside before the user agrees; what was
    not saved yet comes from this user. A format that only the command line writes is no choice here.
    """
    settings = opened.project.settings
    suffix = f".{settings.output_format}"
    suffix = suffix if suffix in SAVE_SUFFIXES else SaveTo().suffix
    folder = None if settings.output is None else absolute_path(settings.output, opened.folder)
    if folder is None or not own or is_inside(folder, opened.folder):
        return SaveTo(folder, suffix), None
    return SaveTo(opened.folder / RESULTS, suffix), folder


def _put_result(session: Session, source: QuerySource, layer: Labels | None, entry: QueryEntry) -> None:
    """What the table of results said of a scan."""
    found = entry.summary
    if found is not None:
        reviewed = frozenset(found.reviewed)
        session.results.put(ScanResult(source, layer, found.axis, found, found.voxel_ml, reviewed=reviewed))


def _add_scan(session: Session, scan: OpenedScan) -> Image:
    data, kwargs, _ = volume_to_layer(scan.volume)
    return session.viewer.add_image(data, **{**kwargs, "name": scan.volume.name})


def _add_labels(session: Session, scan: Image, mask: OpenedMask) -> Labels:
    labels, entry = mask.labels, mask.entry
    name = labels.name
    noted: dict[str, Any] = {"geometry": labels.geometry, "calibrated": True}
    looks: dict[str, Any] = {}
    if isinstance(entry, SupportEntry):
        noted[PAINTED] = True
    else:
        noted |= {**_result_note(labels.labels, entry), "of": str(scan.unique_id)}
        looks["opacity"] = 0.6
        name = entry.name or scan.name + SUFFIX
    return session.viewer.add_labels(
        labels.labels.reshape(scan.data.shape),
        name=name,
        metadata={KEY: noted},
        **looks,
        **copied_transform(scan),
    )


def _dress(layer: Labels, mask: OpenedMask) -> None:
    """Give the classes of a layer their names and colours."""
    set_class_names(layer, mask.labels.classes)
    if mask.labels.colors:
        set_class_colors(layer, mask.labels.colors)


def _result_note(labels: np.ndarray, entry: QueryEntry) -> dict[str, Any]:
    written = LabelSnapshot.of(labels)
    if entry.corrected is not None:
        with suppress(ValueError):
            return result_note(written, PackedMask.from_text(entry.corrected, labels.shape))
    elif entry.checksum in (None, written.checksum):
        return result_note(written)
    # What was corrected is not known, so that the next run leaves this layer alone.
    return {**result_note(None), "checksum": entry.checksum}


def _mark(session: Session, pair: SupportPair, entry: SupportEntry) -> None:
    used = entry.taken and session.options.plane in ("auto", entry.plane)
    if used:
        session.activate(pair)
        session.slices.slice_along(pair, pair.axis(entry.plane))
    session.slices.restore_partial(pair, entry.plane, entry.partial)
    marks: dict[str, tuple[int, ...]] = {plane: slices for plane, slices in entry.absent_elsewhere.items()}  # noqa: C416
    session.slices.restore_absent(pair, marks | {entry.plane: entry.absent})
    slices = np.moveaxis(labels_array(pair.labels), pair.axis(entry.plane), 0)
    for index in entry.accepted:
        if 0 <= index < len(slices):
            session.accepted.add(pair.labels, entry.plane, index, slices[index])
    if not used:
        return
    entries = session.slices.entries(pair)
    if entry.slices is None:  # all: also those that are only crossed by strokes
        session.slices.tick([one for one in entries if not one.ticked], True)
    else:
        wanted = {*entry.slices, *entry.absent}
        session.slices.tick([one for one in entries if one.index in wanted], True)
        session.slices.tick([one for one in entries if one.index not in wanted], False)


def _look(session: Session, project: Project, layers: dict[str, Image], files: dict[Labels, str]) -> None:
    """Show the first painted scan with what was painted on it, or the first scan."""
    by_file = {file: labels for labels, file in files.items()}
    for entry in project.supports:
        if entry.taken and entry.mask in by_file and entry.scan in layers:
            pair = SupportPair(layers[entry.scan], by_file[entry.mask])
            session.activate(pair)
            show_scan(session.viewer, pair.scan, only=pair.labels)
            session.viewer.layers.selection.active = pair.labels
            return
    session.forget_removed()
    if layers:
        show_scan(session.viewer, next(iter(layers.values())))
