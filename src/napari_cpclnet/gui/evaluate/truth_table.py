"""Table of open scans with their truth and patient: what an evaluation is run on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidgetItem

from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.gui.jobs.layer_pair import LayerPair
from napari_cpclnet.gui.layers.class_names import class_names
from napari_cpclnet.gui.layers.corrections import is_result
from napari_cpclnet.gui.layers.overlays import is_map
from napari_cpclnet.gui.layers.painted_slices import has_gaps, is_painted
from napari_cpclnet.gui.layers.scan_layers import LayerScan, labels_array, refusal, same_grid, slice_axis
from napari_cpclnet.gui.widgets.fit_rows import fit_rows
from napari_cpclnet.gui.widgets.layer_combo import LayerCombo
from napari_cpclnet.gui.widgets.record_table import ROW_HEIGHT, RecordTable

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_cpclnet.gui.session.session import Session

SCAN, TRUTH, PATIENT = range(3)


@dataclass(eq=False)
class Choice:
    """What is chosen for one scan; None: whatever is sensible."""

    scan: Image
    ticked: bool | None = None
    truth: Labels | None = None
    patient: str = ""


def is_own(layer: Labels) -> bool:
    """Whether labels were painted or found in this program, and so are no truth to measure it with."""
    return is_result(layer) or is_painted(layer)


class TruthTable(RecordTable):
    """One row per scan; scans without labels on their grid cannot be ticked."""

    def __init__(self, session: Session) -> None:
        super().__init__({"Scan": "", "Ground truth": "", "Patient": ""}, editable=True)
        self._session = session
        self._choices: list[Choice] = []
        self._shown: list[tuple[object, ...]] = []
        self.setToolTip(
            "Tick scans whose labels are complete: they are support and query of one another.\n"
            "Organs are joined by the names of their classes. Double-click a patient to change it;\n"
            "scans of one patient are never support and query of one another."
        )
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT + 4)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.itemChanged.connect(self._on_changed)

    def refresh(self) -> None:
        """Show the scans of the viewer; nothing is touched where nothing changed."""
        scans = [scan for scan in self._session.scans() if not refusal(scan)]
        known = {id(choice.scan): choice for choice in self._choices}
        self._choices = [known.get(id(scan)) or Choice(scan) for scan in scans]
        rows = [self._row(choice) for choice in self._choices]
        if rows == self._shown:
            return
        self._shown = rows
        with QSignalBlocker(self):
            self.setRowCount(len(rows))
            for number, choice in enumerate(self._choices):
                self._fill(number, choice)
        fit_rows(self, len(rows), least=1, most=6)

    def pairs(self) -> tuple[LayerPair, ...]:
        """Ticked scans with a copy of their truth as it is now.

        Raises
        ------
        CpclnetError
            If none is ticked, or the truth of one is only a few painted slices.
        """
        found, plane = [], self._session.options.plane
        for choice in self._choices:
            truth = self._truth(choice)
            if truth is None or not self._is_ticked(choice):
                continue
            scan = LayerScan.of(choice.scan)
            if is_painted(truth) and has_gaps(labels_array(truth), slice_axis(scan.geometry, plane)):
                raise CpclnetError(
                    f"'{truth.name}' has slices without paint between painted ones, so it is no ground truth: "
                    "choose labels that are complete."
                )
            found.append(
                LayerPair(
                    layer=choice.scan,
                    scan=scan,
                    truth=np.array(labels_array(truth)),
                    truth_name=truth.name,
                    names=class_names(truth),
                    patient=choice.patient or choice.scan.name,
                )
            )
        if not found:
            raise CpclnetError("Tick at least one scan that has labels, or choose a cases table.")
        return tuple(found)

    def _truths(self, scan: Image) -> list[Labels]:
        """Labels on the voxels of a scan: foreign ones first, then those named after it, then the nearest."""
        layers = list(self._session.viewer.layers)
        fitting = [
            layer
            for layer in layers
            if isinstance(layer, Labels)
            and not layer.multiscale
            and not is_map(layer)
            and same_grid(layer, scan)
        ]
        place = layers.index(scan)

        def unlikely(layer: Labels) -> tuple[bool, bool, int]:
            # Registered scans lie on one grid, so that the grid alone does not tell whose labels these are.
            return is_own(layer), scan.name not in layer.name, abs(layers.index(layer) - place)

        return sorted(fitting, key=unlikely)

    def _truth(self, choice: Choice) -> Labels | None:
        truths = self._truths(choice.scan)
        if choice.truth in truths:
            return choice.truth
        # What was painted or found here is never taken for the truth by itself; the user may choose it.
        return next((layer for layer in truths if not is_own(layer)), None)

    def _is_ticked(self, choice: Choice) -> bool:
        return choice.ticked is not False and self._truth(choice) is not None

    def _row(self, choice: Choice) -> tuple[object, ...]:
        truths = self._truths(choice.scan)
        names = tuple((id(layer), layer.name) for layer in truths)
        truth = self._truth(choice)
        return (id(choice.scan), choice.scan.name, names, id(truth), self._is_ticked(choice), choice.patient)

    def _fill(self, number: int, choice: Choice) -> None:
        truth = self._truth(choice)
        scan = QTableWidgetItem(choice.scan.name)
        scan.setToolTip(choice.scan.name)
        scan.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
        scan.setCheckState(Qt.CheckState.Checked if self._is_ticked(choice) else Qt.CheckState.Unchecked)
        if truth is None:
            scan.setFlags(Qt.ItemFlag.NoItemFlags)
            scan.setToolTip(
                f"Open or choose complete labels on the voxels of '{choice.scan.name}'; what you painted or found\n"
                "here is not taken for the truth by itself."
            )
        combo = LayerCombo("no labels")
        combo.setMinimumContentsLength(2)
        chosen = f"{truth.name}\n" if truth is not None else ""
        combo.setToolTip(f"{chosen}Labels that show the whole truth on every slice.")
        combo.show_layers(self._truths(choice.scan), truth)
        combo.chosen.connect(lambda layer, choice=choice: self._choose_truth(choice, layer))
        patient = QTableWidgetItem(choice.patient or choice.scan.name)
        patient.setToolTip("Double-click to change: scans of one patient carry the same name.")
        self.setItem(number, SCAN, scan)
        self.setCellWidget(number, TRUTH, combo)
        self.setItem(number, PATIENT, patient)

    def _choose_truth(self, choice: Choice, layer: Labels | None) -> None:
        choice.truth = layer
        self.refresh()

    def _on_changed(self, item: QTableWidgetItem) -> None:
        choice = self._choices[item.row()]
        if item.column() == SCAN:
            choice.ticked = item.checkState() == Qt.CheckState.Checked
        elif item.column() == PATIENT:
            choice.patient = item.text().strip()
        self._shown[item.row()] = self._row(choice)
