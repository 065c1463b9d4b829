"""The table of statistics with its buttons, and the worker that fills it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import (
    QApplication,
    QButtonGroup,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import QSignalDebouncer

from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.gui.jobs.statistics_job import Measured, PartBegun, PartFailed, run_statistics
from napari_cpclnet.gui.layers.scan_layers import geometry_of, slice_axis
from napari_cpclnet.gui.layers.view import jump_to_slice, show_scan
from napari_cpclnet.gui.statistics.sources import PAINTED, measured_layers, statistics_job
from napari_cpclnet.gui.statistics.statistics_table import StatisticsTable
from napari_cpclnet.gui.widgets.connections import Connections, when_destroyed
from napari_cpclnet.gui.widgets.style import MARGIN, SPACING, spaced, style_sheet
from napari_cpclnet.gui.widgets.worker import JobRunner

if TYPE_CHECKING:
    from napari_cpclnet.gui.session.session import Session

# After the last stroke; a large scan takes a second to measure.
WAIT_MS = 800


class StatisticsBox(QWidget):
    """Measures while it can be seen: again after each stroke, and when another scan is looked at."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.runner = JobRunner(self)
        self.runner.report.connect(self._on_report)
        self.runner.finished.connect(self._on_finished)
        self._job: Any = None
        self._known: Any = None
        self._again = self._fresh = False
        self._failures: list[str] = []
        self._soon = QSignalDebouncer(parent=self)
        self._soon.setTimeout(WAIT_MS)
        self._soon.triggered.connect(self.measure)
        self._layer_events, self._events = Connections(), Connections()
        self._build()
        viewer = session.viewer
        for emitter in (session.changed, viewer.layers.events.inserted, viewer.layers.events.removed):
            self._events.connect(emitter, self._later)
        self._events.connect(viewer.layers.selection.events.active, self._on_view)
        self._events.connect(viewer.events.theme, self._on_theme)
        when_destroyed(self, self._events.close, self._layer_events.close)
        self._on_theme()

    def _build(self) -> None:
        self.table = StatisticsTable()
        self.table.picked.connect(self._go_to)
        self.in_view, self.all_scans = QRadioButton("Scan in view"), QRadioButton("All scans")
        self.in_view.setChecked(True)
        self.in_view.setToolTip("Measure the result and the annotation layer of the scan in view.")
        self.all_scans.setToolTip(
            "Measure all open scans, and the files on the list that have a saved result; files are read in turn."
        )
        group = QButtonGroup(self)
        for button in (self.in_view, self.all_scans):
            group.addButton(button)
        self.all_scans.toggled.connect(self.measure)
        self.copy = QPushButton("Copy")
        self.copy.setToolTip("Copy all rows to the clipboard, to be pasted into a spreadsheet.")
        self.copy.clicked.connect(self.copy_rows)
        self.save = QPushButton("Save CSV…")
        self.save.setToolTip("Save all rows with all columns as a CSV file.")
        self.save.clicked.connect(self._ask_file)
        self.state = QLabel()
        self.state.setObjectName("muted")
        row = QHBoxLayout()
        row.setSpacing(2 * SPACING)
        for widget in (self.in_view, self.all_scans):
            row.addWidget(widget)
        row.addWidget(self.state, stretch=1)
        for widget in (self.copy, self.save):
            row.addWidget(widget)
        column = spaced(QVBoxLayout(self), MARGIN, SPACING, MARGIN, MARGIN)
        column.addLayout(row)
        column.addWidget(self.table, stretch=1)
        self.setMinimumHeight(180)

    def measure(self, _checked: bool = True) -> None:
        """Fill the table anew; a measurement under way is given up first."""
        if self.runner.is_running:
            self._again = True
            self.runner.cancel()
            return
        self._soon.cancel()
        self._listen()
        self._failures = []
        self._fresh = True
        self._job = statistics_job(self.session, all_scans=self.all_scans.isChecked(), known=self._known)
        self._say("Measuring…" if self._job.parts else "")
        self.runner.start_reports(run_statistics(self._job), self._job.cancelled)

    def copy_rows(self) -> None:
        """Copy all rows as text with tabs."""
        from napari_cpclnet.segmentation.statistics import as_csv

        rows = self.table.rows()
        QApplication.clipboard().setText(as_csv(rows, delimiter="\t"))
        self._say(f"{_rows(len(rows))} copied.")

    def save_rows(self, path: Path) -> None:
        """Save all rows as a CSV file."""
        from napari_cpclnet.segmentation.statistics import write_statistics

        try:
            write_statistics(path, self.table.rows())
        except CpclnetError as error:
            self._say(str(error))
            return
        self._say(f"{_rows(self.table.rowCount())} saved to {path}.")

    def showEvent(self, event: Any) -> None:  # noqa: N802
        """Measure what changed while the table could not be seen."""
        super().showEvent(event)
        self._soon.throttle()
        self._soon.flush()

    def _ask_file(self) -> None:
        from napari_cpclnet.segmentation.statistics import STATISTICS_FILE

        chosen, _ = QFileDialog.getSaveFileName(self, "Save statistics", STATISTICS_FILE, "Table (*.csv)")
        if chosen:
            path = Path(chosen)
            self.save_rows(path if path.suffix else path.with_suffix(".csv"))

    def _go_to(self, row: Any) -> None:
        """Show the slice on which the diameter of a row was measured."""
        name = row.scan.removesuffix(PAINTED)
        scan = next((one for one in self.session.scans() if one.name == name), None)
        if scan is None or row.diameter_slice is None:
            return
        if not scan.visible:
            show_scan(self.session.viewer, scan)
        jump_to_slice(self.session.viewer, scan, slice_axis(geometry_of(scan), "axial"), row.diameter_slice)

    def _on_report(self, report: Any) -> None:
        if self._fresh:  # the old rows stay until there is something new
            self._fresh, self._known = False, None
            self.table.clear_rows()
        if isinstance(report, Measured):
            self._known = report.contents
        elif isinstance(report, PartBegun):
            parts = len(self._job.parts)
            self._say(f"Measuring {report.part + 1} of {parts}…" if parts > 1 else "Measuring…")
        elif isinstance(report, PartFailed):
            self._failures.append(report.message)
        else:
            self.table.add(report, self.session.classes.color(report.value))

    def _on_finished(self) -> None:
        if self._again:
            self._again = False
            self.measure()
            return
        self._say(" ".join(self._failures) or ("" if self.table.rowCount() else "Nothing is segmented yet."))
        for button in (self.copy, self.save):
            button.setEnabled(self.table.rowCount() > 0)

    def _on_view(self, _event: Any = None) -> None:
        if self.in_view.isChecked():
            self._later()

    def _later(self, _event: Any = None) -> None:
        if self.isVisible():
            self._soon.throttle()

    def _on_layer(self, event: Any) -> None:
        if event.source.editable:  # else a run is writing, and its end is told
            self._later()

    def _listen(self) -> None:
        self._layer_events.close()
        for layer in measured_layers(self.session):
            for name in ("paint", "labels_update", "data", "set_data", "editable"):
                self._layer_events.connect(getattr(layer.events, name), self._on_layer)

    def _say(self, text: str) -> None:
        self.state.setText(text)
        self.state.setToolTip(text)

    def _on_theme(self, _event: Any = None) -> None:
        self.setStyleSheet(style_sheet(self.session.viewer.theme))


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"
