"""Tab 'Train': trains the network on phantoms and scans, while the rest of napari goes on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_cpclnet.gui.train.train_control import TrainControl
from napari_cpclnet.gui.train.training_box import SourcesBox, TrainingBox
from napari_cpclnet.gui.train.training_progress import TrainingProgress
from napari_cpclnet.gui.widgets.column_scroll import ColumnScroll
from napari_cpclnet.gui.widgets.heading import heading
from napari_cpclnet.gui.widgets.run_bar import RunBar, RunState, RunWords
from napari_cpclnet.gui.widgets.style import MARGIN, SPACING, spaced

if TYPE_CHECKING:
    from napari_cpclnet.gui.session.session import Session

WORDS = RunWords(
    run="Train, or go on with the run in the folder.\nThe device is that of the options in the tab Segment.",
    cancel="Stop after the step in work; the checkpoint is kept, and Start goes on from it.",
    cancelling="The step in work is finished first, with its validation if it has one.",
    progress="Steps done so far.",
    texts=("Start", "Stop", "Stopping…"),
    unit="steps",
    shortcut=None,
)


class TrainTab(QWidget):
    """The tab; the panel calls `refresh` when layers change. `use_weights(Path)`: the user wants these weights."""

    use_weights = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.sources = SourcesBox(session)
        self.settings = TrainingBox()
        self.progress = TrainingProgress()
        self.bar = RunBar(WORDS)
        self.bar.set_weights("")
        self.pause = QPushButton("Pause")
        self.pause.clicked.connect(self._on_pause)
        self.bar.buttons.addWidget(self.pause)
        self._layout()
        self.control = TrainControl(
            session, self.bar, self.progress, lambda: self.settings.job(self.sources, session), self
        )
        self.control.changed.connect(self._show)
        self.settings.found.connect(self._on_found)
        self.progress.use_requested.connect(self._on_use)
        self._show()

    def refresh(self) -> None:
        """Show the layers of the viewer."""
        self.sources.refresh()

    def _layout(self) -> None:
        self.choices = QWidget()
        column = spaced(QVBoxLayout(self.choices))
        column.addWidget(
            heading("1   Learn from", "Nobody needs to paint for it; labels that are there help.")
        )
        column.addWidget(self.sources)
        self.own_sources = QLabel("What the run in the folder learned from.")
        self.own_sources.setObjectName("muted")
        column.addWidget(self.own_sources)
        column.addWidget(heading("2   Run", "Where it is kept, how long it is, and what it begins with."))
        column.addWidget(self.settings)
        self.summary = QLabel()
        self.summary.setObjectName("muted")
        self.summary.setWordWrap(True)
        self.summary.setToolTip("The run under way; its choices come back when it ends.")
        self.results = QWidget()
        results = spaced(QVBoxLayout(self.results))
        results.addWidget(heading("3   Progress", "How well the network does, and where its weights are."))
        results.addWidget(self.progress)
        content = QWidget()
        whole = spaced(QVBoxLayout(content), MARGIN)
        whole.addWidget(self.choices)
        whole.addWidget(self.summary)
        whole.addWidget(self.results)
        whole.addStretch(1)
        scroll = ColumnScroll(content)
        layout = spaced(QVBoxLayout(self), spacing=0)
        layout.addWidget(scroll, stretch=1)
        self.bar.layout().setContentsMargins(MARGIN, SPACING, MARGIN, SPACING)
        layout.addWidget(self.bar)

    def _show(self) -> None:
        """Show what can be done now: choices while nothing runs, the pause while something does."""
        running, paused = self.control.is_running, self.control.is_paused
        if not running:
            self.settings.read_folder()
        self.choices.setVisible(not running)
        self.summary.setVisible(running)
        self.results.setVisible(running or self.settings.holds_run)
        if running:
            job = self.control.job
            sources = "" if self.settings.holds_run else f"{self.sources.words()}, "
            self.summary.setText(f"{sources}{job.steps} steps, in {job.out}".replace("/", "/\u200b"))
        self.pause.setVisible(running)
        self.pause.setEnabled(self.bar.state is RunState.RUNNING)
        self.pause.setText("Resume" if paused else "Pause")
        self.pause.setToolTip(
            "Go on with the run." if paused else "Make no more steps after the one in work, until you resume."
        )

    def _on_pause(self) -> None:
        self.control.pause(not self.control.is_paused)

    def _on_found(self, run: Any) -> None:
        """The chosen folder holds a run, or does not."""
        self.sources.setVisible(run is None)
        self.own_sources.setVisible(run is not None)
        self.results.setVisible(run is not None)
        self.progress.show_folder(self.settings.out.path())

    def _on_use(self, path: Path) -> None:
        self.use_weights.emit(path)
        self.bar.show_message("Segment and Evaluate use these weights from their next run on.")
