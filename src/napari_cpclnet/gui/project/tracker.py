"""Tracker of a session's project: its folder, what of it is on disk, and what changed since. No Qt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels

from napari_cpclnet.gui.layers.class_names import class_color, class_names
from napari_cpclnet.gui.layers.corrections import corrected_text, is_edited, is_result, written_checksum
from napari_cpclnet.gui.layers.scan_layers import LayerScan, geometry_of, note, refusal, same_grid
from napari_cpclnet.gui.project.snapshot import (
    MaskCopy,
    ScanCopy,
    Snapshot,
    Stamp,
    Written,
    free_file,
    stamp_of,
)
from napari_cpclnet.segmentation.settings import PostprocessingSettings

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_cpclnet.gui.layers.support_slices import SupportPair
    from napari_cpclnet.gui.session.session import Session
    from napari_cpclnet.project import Project, ScanEntry

MASKS, RESULTS = "masks", "results"


class ProjectTracker:
    """Knows the project of a session (GUI thread only).

    Attributes
    ----------
    folder
        Where the project is kept; None: nowhere yet.
    own
        Whether the user chose that folder; else it is one for unsaved work.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.folder: Path | None = None
        self.own = False
        self._forget_files()

    def keep_in(self, folder: Path, *, own: bool) -> None:
        """Keep everything in this folder from now on; all of it is written with the next snapshot."""
        if folder != self.folder:
            self.folder = folder
            self._forget_files()
        self.own = own

    def close(self) -> None:
        """Begin a new project: the old one stays as it is on disk."""
        self.folder, self.own = None, False
        self._forget_files()

    def _forget_files(self) -> None:
        self._stamp: Stamp | None = None
        self._scans: dict[Image, ScanEntry] = {}
        self._ids: dict[Image, str] = {}
        self._files: dict[Labels, str] = {}
        self._written: dict[Labels, int] = {}
        self._clean: set[Labels] = set()
        self._corrected: dict[Labels, dict[int, str] | None] = {}
        self._kept: dict[str, tuple[Any, ...]] = {}

    def opened(
        self,
        folder: Path,
        *,
        own: bool,
        ids: dict[Image, str],
        scans: dict[Image, ScanEntry],
        files: dict[Labels, str],
        kept: dict[str, tuple[Any, ...]],
    ) -> None:
        """Remember which layers came from which entries.

        Parameters
        ----------
        folder, own
            Of the project.
        ids
            Scan of each image layer.
        scans
            Entries of the scans that are as they were.
        files
            File of each labels layer.
        kept
            Entries that could not be opened.
        """
        self.close()
        self.folder, self.own, self._stamp = folder, own, stamp_of(folder)
        self._scans, self._files, self._kept = dict(scans), dict(files), kept
        self._ids, self._clean = dict(ids), set(files)
        self._corrected = {layer: corrected_text(layer) for layer in files if is_result(layer)}

    def touch(self, layer: Layer) -> None:
        """A layer may have changed."""
        self._clean.discard(layer)

    def forget(self, layer: Layer) -> None:
        """A layer left the viewer; what was written of it stays on disk."""
        self._clean.discard(layer)
        for known in (self._files, self._written, self._scans, self._ids, self._corrected):
            known.pop(layer, None)

    def worth_keeping(self) -> bool:
        """Whether there is work that only this session has: paint, or a corrected result."""
        for layer in self.session.viewer.layers:
            if isinstance(layer, Labels) and is_result(layer) and layer.editable and is_edited(layer):
                return True
        return any(
            entry.values
            for entry in self.session.slices.entries()
            if self.session.slices.is_in_use(entry.pair)
        )

    def snapshot(self) -> Snapshot:
        """Copy what may have changed; quick, as only labels are copied."""
        assert self.folder is not None
        session = self.session
        scans = [layer for layer in reversed(session.scans()) if not refusal(layer)]
        for layer in scans:
            self._name(layer)
        # The one that is painted on comes first, and is in front when the project is opened.
        pairs = sorted(session.slices.pairs, key=lambda pair: pair != session.active)
        painted = {pair.labels for pair in pairs}
        results = {
            layer: scan
            for layer in session.viewer.layers
            if isinstance(layer, Labels)
            and is_result(layer)
            and layer not in painted
            and (layer.editable or layer in self._files)  # else a run is only beginning to fill it
            and (scan := _scan_under(layer, scans)) is not None
        }
        masks = [
            *(self._copy(pair.labels, MASKS) for pair in pairs),
            *(self._copy(layer, RESULTS) for layer in results),
        ]
        options = session.options
        post = options.postprocessing
        return Snapshot(
            folder=self.folder,
            stamp=self._stamp,
            scans=tuple(
                ScanCopy(layer, self._ids[layer], LayerScan.of(layer), self._known(layer)) for layer in scans
            ),
            masks=tuple(copy for copy in masks if copy is not None),
            classes=[
                {"value": value, "name": info.name, "color": info.color, "code": info.code}
                for value, info in session.classes.items()
            ],
            supports=[self._support(pair) for pair in pairs],
            queries=self._queries(scans, results),
            settings={
                "plane": options.plane,
                "adapt": options.adapt,
                "align": options.align,
                "postprocessing": None if post == PostprocessingSettings() else post,
                "output": session.queries.outside or session.queries.save_to.folder,
                "output_format": session.queries.save_to.suffix.removeprefix("."),
            },
            weights=options.weights,
            kept=self._kept,
        )

    def done(self, written: Written) -> None:
        """A snapshot is on disk."""
        if written.folder != self.folder:
            return  # another project was opened meanwhile
        self._stamp = written.stamp
        there = set(self.session.viewer.layers)
        self._scans |= {layer: entry for layer, entry in written.scans.items() if layer in there}
        self._written |= {layer: found for layer, found in written.masks.items() if layer in there}

    def failed(self) -> None:
        """A snapshot could not be written: all of it is tried again with the next."""
        self._clean.clear()

    def _name(self, layer: Image) -> None:
        if layer in self._ids:
            return
        taken = {*self._ids.values(), *(scan.id for scan in self._kept.get("scans", ()))}
        number = next(n for n in range(1, len(taken) + 2) if f"scan-{n}" not in taken)
        self._ids[layer] = f"scan-{number}"

    def _known(self, layer: Image) -> ScanEntry | None:
        known = self._scans.get(layer)
        if known is None:
            return None
        said: dict[str, Any] = {key: note(layer)[key] for key in ("modality", "unit") if key in note(layer)}
        return known.model_copy(update={"name": layer.name, **said})

    def _file(self, layer: Labels, folder: str) -> str:
        if layer not in self._files:
            assert self.folder is not None
            kept = [one.mask for one in self._kept.get("supports", ())]
            kept += [one.result for one in self._kept.get("queries", ()) if one.result]
            taken = [*self._files.values(), *kept]
            self._files[layer] = free_file(folder, layer.name, ".seg.nrrd", taken, self.folder)
        return self._files[layer]

    def _copy(self, layer: Labels, folder: str) -> MaskCopy | None:
        """Copy of labels that may have changed; none of a result that is being filled."""
        file = self._file(layer, folder)
        if layer in self._clean or (is_result(layer) and not layer.editable):
            return None
        self._clean.add(layer)
        if is_result(layer):
            self._corrected[layer] = corrected_text(layer)
        names = class_names(layer)
        return MaskCopy(
            layer,
            file,
            np.array(layer.data),
            names,
            {value: class_color(layer, value) for value in names},
            geometry_of(layer),
            layer.name,
            self._written.get(layer),
        )

    def _support(self, pair: SupportPair) -> dict[str, Any]:
        entries = self.session.slices.entries(pair)
        painted = [entry for entry in entries if entry.values or entry.partial]
        used = [entry.index for entry in painted if entry.ticked]
        everything = len(used) == len(painted)
        taken = self.session.slices.is_in_use(pair)
        return {
            "scan": self._ids[pair.scan],
            "name": pair.labels.name,
            "mask": self._files[pair.labels],
            "plane": self.session.slices.plane_of(pair),
            "slices": None if taken and everything else used,
            "absent": [entry.index for entry in entries if entry.absent and entry.ticked],
            "partial": [entry.index for entry in entries if entry.partial],
            "accepted": [entry.index for entry in entries if entry in self.session.accepted],
            "absent_elsewhere": self.session.slices.absent_elsewhere(pair),
            "taken": taken or bool(used),
        }

    def _queries(self, scans: list[Image], results: dict[Labels, Image]) -> list[dict[str, Any]]:
        session = self.session
        found: list[dict[str, Any]] = []
        for scan in scans:
            query = {"scan": self._ids[scan], "ticked": session.is_ticked(scan)}
            layers = [layer for layer, under in results.items() if under is scan]
            found += [
                {
                    **query,
                    "result": self._files[layer],
                    "name": layer.name,
                    "checksum": written_checksum(layer),
                    "corrected": self._corrected.get(layer),
                    "summary": session.results.of(layer),
                }
                for layer in layers
            ] or [query]
        for file in session.queries.files:
            found.append(
                {
                    "path": file.ref.path,
                    "series": file.ref.series,
                    "name": file.ref.name,
                    "ticked": session.is_ticked(file),
                    "saved": session.queries.status(file).saved,
                    "summary": session.results.of_source(file),
                }
            )
        return found


def unopened(project: Project, opened: set[str], files: set[str]) -> dict[str, tuple[Any, ...]]:
    """Entries of scans, masks and results that could not be opened, to be written again as they were."""
    return {
        "scans": tuple(one for one in project.scans if one.id not in opened),
        "supports": tuple(one for one in project.supports if one.mask not in files),
        "queries": tuple(
            one
            for one in project.queries
            if one.scan is not None
            and (one.scan not in opened or (one.result is not None and one.result not in files))
        ),
    }


def _scan_under(layer: Labels, scans: list[Image]) -> Image | None:
    """The scan a result belongs to: on its voxels, and named like it where there are several."""
    fitting = [scan for scan in scans if same_grid(layer, scan)]
    named = [scan for scan in fitting if layer.name.startswith(scan.name)]
    return next(iter(named or fitting), None)
