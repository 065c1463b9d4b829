"""Progress of a training run: curves, the last validation, and where the weights are."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_cpclnet.gui.jobs.training_folder import look_into
from napari_cpclnet.gui.train.curve_plot import CurvePlot
from napari_cpclnet.gui.train.preview import Preview
from napari_cpclnet.gui.widgets.style import SPACING, spaced
from napari_cpclnet.training.reports import EpochReport, StepReport

LOSS, DICE, HELD_OUT = "Loss", "Dice", "held out"


class TrainingProgress(QWidget):
    """Emits `use_requested(Path)` when the weights shall be used."""

    use_requested = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.weights: Path | None = None
        self.loss = CurvePlot((LOSS,), "Loss of the training episodes, averaged over some steps.")
        self.dice = CurvePlot(
            (DICE, HELD_OUT),
            "Overlap with the truth, 0 to 1: of the training episodes, and of episodes that are kept back.\n"
            "There is none while the encoder alone learns.",
            (0.0, 1.0),
        )
        self.preview = Preview()
        self.where = QLabel()
        self.where.setObjectName("muted")
        self.where.setWordWrap(True)
        self.where.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.use = QPushButton("Use these weights")
        self.use.setToolTip(
            "Segment and Evaluate take the best weights of this run, also those that it finds later.\n"
            "To go back, empty Weights in the options of the tab Segment."
        )
        self.use.clicked.connect(self._on_use)
        plots = QHBoxLayout()
        plots.setSpacing(SPACING)
        plots.addWidget(self.loss)
        plots.addWidget(self.dice)
        column = spaced(QVBoxLayout(self))
        column.addLayout(plots)
        column.addWidget(self.preview)
        column.addWidget(self.where)
        column.addWidget(self.use)
        self.show_folder(None)

    def set_theme(self, name: str) -> None:
        """Follow napari's theme."""
        self.loss.set_theme(name)
        self.dice.set_theme(name)

    def begin(self, out: Path, steps: int) -> None:
        """Show what the folder holds, and the width of the run to come."""
        self.show_folder(out)
        self._set_total(steps)

    def show_folder(self, out: Path | None) -> bool:
        """Show the run in a folder, or nothing; says whether there is one."""
        run = look_into(out)
        self.loss.curves[LOSS].replace(run.loss if run else ())
        self.dice.curves[DICE].replace(run.dice if run else ())
        self.dice.curves[HELD_OUT].replace(run.held_out if run else ())
        self._set_total(max(run.steps or 1, run.step) if run else 1)
        self.preview.show_file(run.picture if run else None)
        self._show_weights(run.weights if run else None)
        return run is not None

    def add_step(self, report: StepReport) -> None:
        """Take note of a step; `redraw` shows it."""
        self.loss.curves[LOSS].add(report.step, report.losses["total"])
        self.dice.curves[DICE].add(report.step, report.dice)

    def add_validation(self, report: EpochReport) -> None:
        """Show a validation."""
        self.dice.curves[HELD_OUT].add(report.step, report.validation["dice"])
        self.preview.show_file(report.picture)
        self._show_weights(report.weights)
        self.redraw()

    def redraw(self) -> None:
        """Draw the curves as they are."""
        self.loss.update()
        self.dice.update()

    def _set_total(self, steps: int) -> None:
        for plot in (self.loss, self.dice):
            plot.set_total(steps)
        self.redraw()

    def _show_weights(self, path: Path | None) -> None:
        self.weights = path
        self.use.setEnabled(path is not None)
        # zero-width spaces: a path may break after each folder
        words = "after the first validation" if path is None else str(path).replace("/", "/\u200b")
        self.where.setText(f"Weights: {words}")
        self.where.setToolTip("Best weights so far, by the Dice on episodes that are kept back.")

    def _on_use(self) -> None:
        if self.weights is not None:
            self.use_requested.emit(self.weights)
