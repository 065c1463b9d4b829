"""Section 'Results': what was found, where to look, and how to make it better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import QSignalDebouncer

from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.gui.layers.corrections import is_result
from napari_cpclnet.gui.layers.overlays import (
    CORRECTIONS,
    PROBABILITY,
    UNCERTAINTY,
    find_maps,
    remove_maps,
    show_corrections,
)
from napari_cpclnet.gui.layers.view import jump_to_slice, show_scan
from napari_cpclnet.gui.review.review_row import ReviewRow
from napari_cpclnet.gui.segment.result_tree import ClassResult, ResultRow, ResultTree
from napari_cpclnet.gui.segment.uncertain_slices import UncertainRow, UncertainSlices
from napari_cpclnet.gui.session.result_layers import CONTOUR
from napari_cpclnet.gui.session.reuse import unlock_corrections, use_slice
from napari_cpclnet.gui.widgets.connections import Connections, when_destroyed
from napari_cpclnet.gui.widgets.heading import FoldHeading
from napari_cpclnet.gui.widgets.shortcuts import SUGGEST, USE_SLICE, printed
from napari_cpclnet.gui.widgets.style import SPACING, spaced

if TYPE_CHECKING:
    from napari_cpclnet.gui.session.results import ScanResult
    from napari_cpclnet.gui.session.session import Session

# After the last stroke; counting what changed takes a moment in a large scan.
RECOUNT_MS = 300
LOOKS = {
    PROBABILITY: ("Probability", "Show how probable each class is, as a layer for each."),
    UNCERTAINTY: ("Uncertainty", "Show where the network is undecided, as a layer of its own."),
    "contour": ("Outlines", "Draw all results as outlines instead of filled areas."),
    CORRECTIONS: (
        "Corrections",
        "Show the voxels you corrected, which stay when the scan is labelled again.",
    ),
}


class ResultsBox(QWidget):
    """Emits `changed` when the support became another, and `message(text, is_error)`.

    `suggest_requested` when a slice to paint is wanted, `reviewed` when one was accepted.
    """

    changed = Signal()
    suggest_requested = Signal()
    reviewed = Signal()
    message = Signal(str, bool)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._changed_layers: set[Labels] = set()
        self._listening: list[Labels] = []
        self._layer_events = Connections()
        when_destroyed(self, self._layer_events.close)
        self._recount = QSignalDebouncer(parent=self)
        self._recount.setTimeout(RECOUNT_MS)
        self._recount.triggered.connect(self._look_again)
        self._build()

    def _build(self) -> None:
        self.tree = ResultTree()
        self.tree.picked.connect(self._show_scan)
        self.doubts = UncertainSlices()
        self.doubts.picked.connect(self._go_to)
        self.doubts_heading = QLabel("Slices to review")
        self.doubts_heading.setObjectName("muted")
        self.doubts_heading.setToolTip(self.doubts.toolTip())
        self.review = ReviewRow(self.session)
        self.review.wanted.connect(self._go_to)
        self.review.changed.connect(self.show_results)
        self.review.changed.connect(self.reviewed)
        self.review.message.connect(self.message)
        self.use = QPushButton()
        self.use.setText("Add to support")
        self.use.setToolTip(
            "Add the slice in view of the result, with your corrections, to the support "
            f"({printed(USE_SLICE)})."
        )
        self.use.clicked.connect(self.use_slice)
        self.suggest = QPushButton()
        self.suggest.setText("Suggest")
        self.suggest.setToolTip(
            f"Go to the slice of the scan in view whose painting would help most ({printed(SUGGEST)})."
        )
        self.suggest.clicked.connect(self.suggest_requested)
        self.looks = QWidget()
        grid = spaced(QGridLayout(self.looks))
        self.boxes: dict[str, QCheckBox] = {}
        for number, (name, (text, tip)) in enumerate(LOOKS.items()):
            box = self.boxes[name] = QCheckBox(text)
            box.setToolTip(tip)
            box.setChecked(getattr(self.session.display, name))
            box.toggled.connect(self._set_look(name))
            grid.addWidget(box, *divmod(number, 2))
        grid.setColumnStretch(1, 1)
        buttons = QGridLayout()
        buttons.setSpacing(SPACING)
        buttons.addWidget(self.use, 0, 0)
        buttons.addWidget(self.suggest, 0, 1)
        column = spaced(QVBoxLayout(self))
        heading = QHBoxLayout()
        heading.addWidget(self.doubts_heading)
        heading.addStretch(1)
        heading.addWidget(self.review.progress)
        self.display = FoldHeading("Display", "Further layers of results, and outlines.", self.looks)
        self.display.setChecked(False)
        above = QHBoxLayout()
        above.addWidget(self.display)
        above.addStretch(1)
        above.addWidget(self._unlock_button())
        column.addLayout(above)
        for widget in (self.looks, self.tree):
            column.addWidget(widget)
        column.addLayout(heading)
        for widget in (self.doubts, self.review):
            column.addWidget(widget)
        column.addLayout(buttons)

    def _unlock_button(self) -> QPushButton:
        self.unlock = QPushButton("Release edits  ▾")
        self.unlock.setObjectName("small")
        self.unlock.setToolTip(
            "Give corrected voxels back to the network: what you changed since the last run is as it found it\n"
            "(Ctrl+Z takes that back), and the next run is free there."
        )
        menu = QMenu(self.unlock)
        menu.addAction("On this slice", lambda: self.give_back(whole_scan=False))
        menu.addAction("In the whole scan", lambda: self.give_back(whole_scan=True))
        self.unlock.setMenu(menu)
        return self.unlock

    def show_results(self) -> None:
        """Show what the session knows of the last runs."""
        session = self.session
        session.results.forget_removed(session.viewer)
        self._listen()
        classes = session.classes
        results = list(session.results)
        doubts = [
            UncertainRow(
                one.source,
                one.name,
                d.index,
                classes.name(d.value),
                classes.color(d.value),
                d.score,
                d.index in one.reviewed,
            )
            for one in results
            for d in one.summary.uncertain
        ]
        self.tree.show_results([self._row(one) for one in results])
        self.tree.setVisible(bool(results))
        self.doubts.show_rows(doubts)
        self.doubts.setVisible(bool(doubts))
        self.doubts_heading.setVisible(bool(doubts))
        self.review.show_progress()
        self.review.progress.setVisible(bool(doubts))
        self._show_corrections()
        for button in (self.use, self.unlock):
            # whichever is in view when it is pressed; without one it is said
            button.setEnabled(any(isinstance(x, Labels) and is_result(x) for x in session.viewer.layers))
        self.suggest.setEnabled(bool(session.scans()))

    def use_slice(self) -> None:
        """Make the slice in view of the result a painted slice."""
        try:
            said = use_slice(self.session)
        except CpclnetError as error:
            self.message.emit(str(error), True)
            return
        self.message.emit(said, False)
        self.changed.emit()

    def give_back(self, *, whole_scan: bool) -> None:
        """Give corrections of the result in view back to the network."""
        try:
            said = unlock_corrections(self.session, whole_scan=whole_scan)
        except CpclnetError as error:
            self.message.emit(str(error), True)
            return
        self.message.emit(said, False)
        self.changed.emit()

    def _row(self, result: ScanResult) -> ResultRow:
        classes = self.session.classes
        unit = "" if result.voxel_ml else " voxels"
        digits = 1 if result.voxel_ml else 0
        classes = [
            ClassResult(
                classes.name(one.value),
                classes.color(one.value),
                f"{result.volume(one):.{digits}f}{unit}",
                one.confidence if one.ml else None,
                one.seems_absent,
                one.means,
                one.goes_on,
            )
            for one in result.summary.classes
        ]
        return ResultRow(result.source, result.name, result.corrected, classes)

    def _set_look(self, name: str) -> Callable[[bool], None]:
        def toggled(on: bool) -> None:
            self.session.display = replace(self.session.display, **{name: on})
            if name == "contour":
                self._outline()
            elif name == CORRECTIONS:
                self._show_corrections()
            else:
                self._show_map(name, on)

        return toggled

    def _outline(self) -> None:
        for layer in self.session.viewer.layers:
            if isinstance(layer, Labels) and is_result(layer):
                layer.contour = CONTOUR if self.session.display.contour else 0

    def _show_map(self, kind: str, on: bool) -> None:
        viewer, found = self.session.viewer, 0
        for scan in self.session.scans():
            for layer in find_maps(viewer, scan, kind):
                layer.visible = on and scan.visible
                found += 1
        if on and not found and len(self.session.results):
            self.message.emit(f"Run again to see the {kind}: it takes less time than the first run.", False)

    def _show_corrections(self) -> None:
        for one in self.session.results:
            if one.layer is None:
                continue
            if self.session.display.corrections and one.changes:
                show_corrections(self.session.viewer, one.source, one.layer, one.changes)
            else:
                remove_maps(self.session.viewer, one.source, CORRECTIONS)

    def _show_scan(self, source: Any) -> None:
        found = self.session.results.of_source(source)
        if found is None or found.layer is None:
            self.message.emit(f"Double-click {source.name} in the list of scans to open it.", False)
            return
        if not source.visible:
            show_scan(self.session.viewer, source)
        found.layer.visible = True
        self.session.viewer.layers.selection.active = found.layer

    def _go_to(self, source: Any, index: int) -> None:
        self._show_scan(source)
        found = self.session.results.of_source(source)
        if found is not None and found.layer is not None:
            jump_to_slice(self.session.viewer, found.layer, found.axis, index)
            self.doubts.mark(source, index)

    def _listen(self) -> None:
        layers = [one.layer for one in self.session.results if one.layer is not None]
        if layers == self._listening:
            return
        self._layer_events.close()
        self._listening = layers
        for layer in layers:
            # set_data also comes with undo, which has no event of its own.
            for name in ("paint", "labels_update", "data", "set_data"):
                self._layer_events.connect(getattr(layer.events, name), self._on_layer)

    def _on_layer(self, event: Any) -> None:
        if event.source.editable:  # else a run is writing
            self._changed_layers.add(event.source)
            self._recount.throttle()

    def _look_again(self) -> None:
        layers, self._changed_layers = self._changed_layers, set()
        before = [one.changes for one in self.session.results]
        for layer in layers:
            if layer.editable:
                self.session.results.begin_second_pass(layer)
        if any(a or b for a, b in zip(before, [one.changes for one in self.session.results], strict=True)):
            self.show_results()
