"""The dock 'Few-shot segmentation'."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_cpclnet.gui.evaluate.tab import EvaluateTab
from napari_cpclnet.gui.help.help_page import HelpPage
from napari_cpclnet.gui.segment.tab import SegmentTab
from napari_cpclnet.gui.session.session import Session
from napari_cpclnet.gui.settings.preferences import preferences
from napari_cpclnet.gui.settings.readers import read_by_default
from napari_cpclnet.gui.train.tab import TrainTab
from napari_cpclnet.gui.widgets.connections import Connections, when_destroyed
from napari_cpclnet.gui.widgets.style import style_sheet

if TYPE_CHECKING:
    import napari

MINIMUM_WIDTH = 340


class CPCLNetPanel(QWidget):
    """One tab per task.

    Parameters
    ----------
    napari_viewer
        The viewer; napari passes it.
    session
        State to start with; default: a new one with the bundled weights.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer, session: Session | None = None) -> None:
        super().__init__()
        # napari may hand out a proxy, whose layers are other objects at each look.
        viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.session = session or Session(viewer)
        self.segment = SegmentTab(self.session)
        self.train = TrainTab(self.session)
        self.evaluate = EvaluateTab(self.session)
        self.segment.refreshed.connect(self.train.refresh)
        self.segment.refreshed.connect(self.evaluate.refresh)
        self.train.use_weights.connect(self.segment.options.weights.set_path)
        self.tabs = QTabWidget()
        self.tabs.addTab(self.segment, "Segment")
        self.tabs.setTabToolTip(0, "Label scans from a few painted slices.")
        self.tabs.addTab(self.train, "Train")
        self.tabs.setTabToolTip(1, "Let the network learn more, in the background, with labels or without.")
        self.tabs.addTab(self.evaluate, "Evaluate")
        self.tabs.setTabToolTip(2, "Evaluate segmentation where the ground truth is known.")
        self.help = HelpPage()
        self.tabs.addTab(self.help, "Help")
        self.tabs.setTabToolTip(3, "What to do first, and the shortcuts.")
        self.help.example_requested.connect(self._open_example)
        self.segment.first_steps.help_requested.connect(lambda: self.tabs.setCurrentWidget(self.help))
        self.tabs.setDocumentMode(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.tabs)
        self.setMinimumWidth(MINIMUM_WIDTH)
        if preferences().readers and hasattr(viewer, "window"):
            read_by_default()
        self._events = Connections()
        # A bare ViewerModel has a theme, too.
        self._events.connect(viewer.events.theme, self._on_theme)
        when_destroyed(self, self._events.close)
        self._on_theme()

    def _on_theme(self, _event: Any = None) -> None:
        self.setStyleSheet(style_sheet(self.session.viewer.theme))
        self.train.progress.set_theme(self.session.viewer.theme)
        self.help.set_theme(self.session.viewer.theme)

    def _open_example(self) -> None:
        self.tabs.setCurrentWidget(self.segment)
        self.segment.first_steps.open_example()


def show_train() -> None:
    """Menu command: bring the Train tab to the front, opening the panel if there is none."""
    _show_tab("train")


def show_evaluate() -> None:
    """Menu command: bring the Evaluate tab to the front, opening the panel if there is none."""
    _show_tab("evaluate")


def _show_tab(name: str) -> None:
    import napari

    viewer = napari.current_viewer()
    if viewer is None:
        return
    viewer = getattr(viewer, "__wrapped__", viewer)
    panel = next((w for w in viewer.window.dock_widgets.values() if isinstance(w, CPCLNetPanel)), None)
    if panel is None:
        _, panel = viewer.window.add_plugin_dock_widget("napari-cpclnet", "Few-shot segmentation")
    dock = panel.parentWidget()
    if dock is not None:
        dock.show()
        dock.raise_()
    panel.tabs.setCurrentWidget(getattr(panel, name))
