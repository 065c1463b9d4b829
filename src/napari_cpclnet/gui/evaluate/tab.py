"""Tab 'Evaluate': measures the network on scans whose ground truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_cpclnet.gui.evaluate.evaluate_control import EvaluateControl
from napari_cpclnet.gui.evaluate.evaluation_box import EvaluationBox, SourceBox
from napari_cpclnet.gui.evaluate.score_table import ScoreTable
from napari_cpclnet.gui.session.error_layer import COLOURS
from napari_cpclnet.gui.widgets.column_scroll import ColumnScroll
from napari_cpclnet.gui.widgets.heading import heading
from napari_cpclnet.gui.widgets.run_bar import RunBar, RunWords
from napari_cpclnet.gui.widgets.style import MARGIN, SPACING, spaced

if TYPE_CHECKING:
    from napari_cpclnet.gui.session.session import Session

TABLE_HEIGHT = 150
WORDS = RunWords(
    run="Label every query after its supports and compare with the truth.\n"
    "Plane, device and cluster are those of the options in the tab Segment.",
    cancel="Stop after the slice in work; finished cases stay.",
    cancelling="The slice in work is finished first; where a baseline is at work, the case.",
    progress="Cases finished so far.",
    unit="cases",
    shortcut=None,
)


class EvaluateTab(QWidget):
    """The tab; the panel calls `refresh` when layers change."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.source = SourceBox(session)
        self.settings = EvaluationBox()
        self.scores = ScoreTable()
        self.bar = RunBar(WORDS)
        self.csv = _button("Export CSV…", "Write the table to a file.", self._export_csv)
        self.html = _button(
            "Export report…", "Write a report with figures as one HTML file.", self._export_html
        )
        self._layout()
        self.control = EvaluateControl(
            session, self.bar, self.scores, lambda: self.settings.job(self.source, session), self
        )
        self.control.changed.connect(self._show_results)
        self.refresh()
        self._show_results()

    def refresh(self) -> None:
        """Show the layers of the viewer."""
        self.source.truths.refresh()

    def _layout(self) -> None:
        content = QWidget()
        column = spaced(QVBoxLayout(content), MARGIN)
        column.addWidget(
            heading("1   Scans with ground truth", "What is labelled, and what it is compared with.")
        )
        column.addWidget(self.source)
        column.addWidget(
            heading("2   Protocol", "Who is support of whom, and what is run beside the network.")
        )
        column.addWidget(self.settings)
        column.addStretch(1)
        scroll = ColumnScroll(content)
        layout = spaced(QVBoxLayout(self), spacing=0)
        layout.addWidget(scroll, stretch=1)
        layout.addWidget(self._results_box(), stretch=1)
        self.bar.layout().setContentsMargins(MARGIN, SPACING, MARGIN, SPACING)
        layout.addWidget(self.bar)

    def _results_box(self) -> QWidget:
        """Below the choices and always in sight, as results come while the choices stay."""
        self.results = QWidget()
        column = spaced(QVBoxLayout(self.results), MARGIN, SPACING, MARGIN, 0)
        column.addWidget(heading("3   Results", "One row per case, organ and method."))
        self.scores.setMinimumHeight(TABLE_HEIGHT)
        column.addWidget(self.scores, stretch=1)
        legend = QLabel("   ".join(f'<span style="color:{_web(c)}">■</span> {t}' for c, t in _LEGEND))
        legend.setObjectName("muted")
        legend.setToolTip("Colours of the error layer.")
        column.addWidget(legend)
        row = QHBoxLayout()
        row.addWidget(self.csv)
        row.addWidget(self.html)
        column.addLayout(row)
        return self.results

    def _show_results(self) -> None:
        some = self.scores.rowCount() > 0
        self.results.setVisible(some or self.control.runner.is_running)
        self.csv.setEnabled(some)
        # The report is written by the run itself when it ends; two writers would be one too many.
        self.html.setEnabled(some and not self.control.runner.is_running)

    def _export_csv(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Export the table", "cases.csv", "CSV (*.csv)")
        if chosen:
            self.control.export_table(Path(chosen))

    def _export_html(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Export the report", "report.html", "HTML (*.html)")
        if chosen:
            self.control.export_report(Path(chosen))


_LEGEND = tuple(zip(COLOURS.values(), ("true positive", "false positive", "false negative"), strict=True))


def _web(colour: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour)


def _button(text: str, tip: str, action: object) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.clicked.connect(action)
    return button
