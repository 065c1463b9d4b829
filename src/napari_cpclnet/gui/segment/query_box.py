"""Section 'Scans to label': open scans and files, and where the results are saved."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_cpclnet.errors import CpclnetError, ImageError
from napari_cpclnet.gui.contributions.reader import is_dicom_name
from napari_cpclnet.gui.layers.scan_layers import FileScan, note, refusal
from napari_cpclnet.gui.layers.view import fit, show_scan
from napari_cpclnet.gui.segment.query_list import QueryList, QueryRow
from napari_cpclnet.gui.session.meaning import meaning_of, say_meaning
from napari_cpclnet.gui.session.open_result import add_opened, read_result
from napari_cpclnet.gui.session.queries import RESULT, SAVE_SUFFIXES, SaveTo
from napari_cpclnet.gui.widgets.path_edit import PathEdit
from napari_cpclnet.gui.widgets.style import SPACING, spaced
from napari_cpclnet.gui.widgets.worker import BackgroundCall
from napari_cpclnet.imaging import find_scans, looks_like_labels, read_volume

if TYPE_CHECKING:
    from napari_cpclnet.gui.session.session import Session
    from napari_cpclnet.imaging import ScanRef

SCAN_FILES = "Scans (*.nii *.nii.gz *.nrrd *.nhdr *.mha *.mhd *.dcm *.ima *.png *.tif *.tiff);;All files (*)"
# Beside the scans of a folder; no scan is looked for in a folder of this name.
RESULTS_FOLDER = "labels"
# Bytes; a label map of a whole scan takes less when it is compressed, and a scan takes more.
SMALL_FILE = 2 << 20


class QueryBox(QWidget):
    """Emits `changed` when the list changed and `message(text, is_error)` to be shown."""

    changed = Signal()
    message = Signal(str, bool)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.list = QueryList()
        self.list.ticked.connect(self.session.tick_query)
        self.list.picked.connect(self._show)
        self.list.opened.connect(self.open)
        self.list.said.connect(self._say_meaning)
        self.list.itemSelectionChanged.connect(self._enable)
        self.no_scan = QLabel("Open a scan: drop a NIfTI, NRRD, MetaImage or DICOM folder on the canvas.")
        self.no_scan.setObjectName("muted")
        self.no_scan.setWordWrap(True)
        self.add_files = _button("Add files…", "Put scans in files on the list; they are read in turn.")
        self.add_files.clicked.connect(self._ask_files)
        self.add_folder = _button("Add folder…", "Put all scans of a folder on the list, DICOM series, too.")
        self.add_folder.clicked.connect(self._ask_folder)
        self.removing = _button("Remove", "Take the selected files off the list; nothing is deleted.")
        self.removing.clicked.connect(self._remove)
        self.folder = PathEdit(
            "(off)", "Folder where each result is saved as soon as it is done.", self._ask_results
        )
        self.format = QComboBox()
        self.format.setToolTip("Format of the saved results.")
        for suffix, words in SAVE_SUFFIXES.items():
            self.format.addItem(suffix, suffix)
            self.format.setItemData(self.format.count() - 1, words, 3)  # tooltip
        self.folder.changed.connect(self._set_results)
        self.format.currentIndexChanged.connect(self._set_results)
        self._layout()

    def _layout(self) -> None:
        column = spaced(QVBoxLayout(self))
        column.addWidget(self.list)
        column.addWidget(self.no_scan)
        buttons = QHBoxLayout()
        for button in (self.add_files, self.add_folder, self.removing):
            buttons.addWidget(button, stretch=1)
        column.addLayout(buttons)
        saving = QHBoxLayout()
        saving.setSpacing(SPACING)
        words = QLabel("Save results to")
        words.setToolTip(self.folder.edit.toolTip())
        saving.addWidget(words)
        saving.addWidget(self.folder, stretch=1)
        saving.addWidget(self.format)
        column.addLayout(saving)

    def show_queries(self) -> None:
        """Show the scans of the session and how far they are."""
        session = self.session
        painted = session.slices.painted_scans()
        rows = []
        for source in (*session.scans(), *session.queries.files):
            reason = "" if isinstance(source, FileScan) else refusal(source)
            remark = "(support)" if source in painted else ""
            status = session.queries.status(source)
            meaning = None if reason else meaning_of(session.queries, source)
            rows.append(QueryRow(source, session.is_ticked(source), remark, reason, status, meaning))
        self.list.show_rows(rows)
        self.list.setVisible(bool(rows))
        self.no_scan.setVisible(not session.scans())
        self._enable()

    def show_results_folder(self) -> None:
        """Show where the session saves results."""
        wanted = self.session.queries.save_to
        with QSignalBlocker(self.format), QSignalBlocker(self.folder):
            self.format.setCurrentIndex(self.format.findData(wanted.suffix))
            self.folder.set_path(wanted.folder)

    def load(self, paths: list[Path]) -> None:
        """Look for scans in files and folders in the background and put them on the list."""
        self.message.emit("Looking for scans…", False)
        call = BackgroundCall(lambda: _scans_in(paths), self)
        call.done.connect(lambda refs: self._found(refs, paths))
        call.failed.connect(lambda text: self.message.emit(text, True))
        call.start()

    def open(self, source: Any) -> None:
        """Open a file with its result, if there is one."""
        if not isinstance(source, FileScan):
            return
        self.message.emit(f"Reading {source.name}…", False)
        saved = self.session.queries.status(source).saved
        call = BackgroundCall(lambda: read_result(source, saved), self)
        call.done.connect(lambda read: self._opened(read))
        call.failed.connect(lambda text: self.message.emit(text, True))
        call.start()

    def _opened(self, read: Any) -> None:
        add_opened(self.session, *read)
        self.message.emit("", False)
        self.changed.emit()

    def _found(self, refs: list[ScanRef], paths: list[Path]) -> None:
        session, first = self.session, paths[0]
        opened = {place for scan in session.scans() if (place := _place(scan)) is not None}
        new = session.queries.add_files(ref for ref in refs if (ref.path.resolve(), ref.series) not in opened)
        session.queries.suggested = (first if first.is_dir() else first.parent) / RESULTS_FOLDER
        words = f"{len(new)} scan{'' if len(new) == 1 else 's'} added"
        more = "" if len(new) == len(refs) else f", {len(refs) - len(new)} on the list already"
        where = "" if session.queries.save_to.folder else " Choose below where their results are saved."
        self.message.emit(f"{words}{more}.{where}", False)
        self.changed.emit()

    def _ask_files(self) -> None:
        chosen, _ = QFileDialog.getOpenFileNames(self, "Scans to label", "", SCAN_FILES)
        if chosen:
            self.load([Path(path) for path in chosen])

    def _ask_folder(self) -> None:
        if chosen := QFileDialog.getExistingDirectory(self, "Folder of scans to label"):
            self.load([Path(chosen)])

    def _ask_results(self) -> str:
        return str(QFileDialog.getExistingDirectory(self, "Folder for the results", self.folder.text()))

    def _set_results(self) -> None:
        queries = self.session.queries
        if self.folder.path() != queries.save_to.folder:  # the user has chosen one
            queries.outside = None
        queries.save_to = SaveTo(self.folder.path(), self.format.currentData())
        self.session.changed.emit()

    def _remove(self) -> None:
        for source in self.list.chosen():
            if isinstance(source, FileScan):
                self.session.queries.remove(source)
        self.session.changed.emit()
        self.changed.emit()

    def _say_meaning(self, source: Any, meaning: Any) -> None:
        say_meaning(self.session.queries, source, meaning)
        self.session.changed.emit()
        self.changed.emit()

    def _show(self, source: Any) -> None:
        if not isinstance(source, FileScan):
            show_scan(self.session.viewer, source)
            fit(self.session.viewer, source)

    def _enable(self) -> None:
        self.removing.setEnabled(any(isinstance(source, FileScan) for source in self.list.chosen()))


def _scans_in(paths: list[Path]) -> list[ScanRef]:
    slices = [path for path in paths if path.is_file() and is_dicom_name(path)]
    if len(slices) > 1:  # a series, not as many scans as it has slices
        paths = [path for path in paths if path not in slices]
        paths += dict.fromkeys(path.parent for path in slices)
    refs = []
    for path in paths:
        found = find_scans(path)
        if path.is_dir():  # results of earlier runs are no scans, and neither are other label maps
            found = [ref for ref in found if not re.search(f"{RESULT}$", ref.name) and not _is_label_map(ref)]
        refs.extend(found)
    if not refs:
        raise ImageError(f"{paths[0]}: holds results, but no scan.")
    return refs


def _place(scan: Any) -> tuple[Path, str | None] | None:
    """File and series that an open scan was read from."""
    source = note(scan).get("source")
    return None if source is None else (Path(source).resolve(), note(scan).get("series"))


def _is_label_map(ref: ScanRef) -> bool:
    """Whether a file holds label values; only small files are looked at, as compressed label maps are."""
    if not ref.path.is_file() or ref.path.stat().st_size > SMALL_FILE:
        return False
    with suppress(CpclnetError):
        return looks_like_labels(read_volume(ref.path, series=ref.series))
    return False  # what is wrong with it is said when its turn comes


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button
