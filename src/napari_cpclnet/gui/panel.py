"""The dock 'Few-shot segmentation'."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_cpclnet.gui.segment.tab import SegmentTab
from napari_cpclnet.gui.session.session import Session
from napari_cpclnet.gui.settings.preferences import preferences
from napari_cpclnet.gui.settings.readers import read_by_default
from napari_cpclnet.gui.widgets.connections import Connections, when_destroyed
from napari_cpclnet.gui.widgets.style import style_sheet
from napari_cpclnet.gui.widgets.warming import warm_up

if TYPE_CHECKING:
    import napari

    from napari_cpclnet.gui.evaluate.tab import EvaluateTab
    from napari_cpclnet.gui.help.help_page import HelpPage
    from napari_cpclnet.gui.train.tab import TrainTab

MINIMUM_WIDTH = 340
LATE = {
    "train": ("Train", "Let the network learn more, in the background, with labels or without."),
    "evaluate": ("Evaluate", "Evaluate segmentation where the ground truth is known."),
    "help": ("Help", "What to do first, and the shortcuts."),
}
"""Titles of the tabs that are made when somebody looks at them: the window opens sooner."""


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
        self.tabs = QTabWidget()
        self.tabs.addTab(self.segment, "Segment")
        self.tabs.setTabToolTip(0, "Label scans from a few painted slices.")
        self._made: dict[str, Any] = {}
        self._late = {name: QWidget() for name in LATE}
        for number, (name, (title, tip)) in enumerate(LATE.items(), start=1):
            self.tabs.addTab(self._late[name], title)
            self.tabs.setTabToolTip(number, tip)
        self.tabs.currentChanged.connect(self._on_tab)
        self.segment.first_steps.help_requested.connect(lambda: self.tabs.setCurrentWidget(self.help))
        self.tabs.setDocumentMode(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.tabs)
        self.setMinimumWidth(MINIMUM_WIDTH)
        if hasattr(viewer, "window"):
            warm_up(self)
            if preferences().readers:
                read_by_default()
        self._events = Connections()
        # A bare ViewerModel has a theme, too.
        self._events.connect(viewer.events.theme, self._on_theme)
        when_destroyed(self, self._events.close)
        self._on_theme()

    @property
    def train(self) -> TrainTab:
        """The tab Train."""
        return self._tab("train")

    @property
    def evaluate(self) -> EvaluateTab:
        """The tab Evaluate."""
        return self._tab("evaluate")

    @property
    def help(self) -> HelpPage:
        """The tab Help."""
        return self._tab("help")

    def _tab(self, name: str) -> Any:
        """One of `LATE`, made now if it was not yet."""
        if name not in self._made:
            tab = self._made[name] = getattr(self, f"_make_{name}")()
            place = self._late.pop(name)
            number, current = self.tabs.indexOf(place), self.tabs.currentWidget() is place
            with QSignalBlocker(self.tabs):
                self.tabs.insertTab(number, tab, LATE[name][0])
                self.tabs.setTabToolTip(number, LATE[name][1])
                self.tabs.removeTab(self.tabs.indexOf(place))
                if current:
                    self.tabs.setCurrentWidget(tab)
            place.deleteLater()
        return self._made[name]

    def _make_train(self) -> TrainTab:
        from napari_cpclnet.gui.train.tab import TrainTab

        tab = TrainTab(self.session)
        tab.progress.set_theme(self.session.viewer.theme)
        tab.use_weights.connect(self.segment.options.weights.set_path)
        self.segment.refreshed.connect(tab.refresh)
        tab.refresh()
        return tab

    def _make_evaluate(self) -> EvaluateTab:
        from napari_cpclnet.gui.evaluate.tab import EvaluateTab

        tab = EvaluateTab(self.session)
        self.segment.refreshed.connect(tab.refresh)
        return tab

    def _make_help(self) -> HelpPage:
        from napari_cpclnet.gui.help.help_page import HelpPage

        page = HelpPage()
        page.set_theme(self.session.viewer.theme)
        page.example_requested.connect(self._open_example)
        return page

    def _on_tab(self, _number: int) -> None:
        shown = self.tabs.currentWidget()
        for name in [name for name, place in self._late.items() if place is shown]:
            self._tab(name)

    def _on_theme(self, _event: Any = None) -> None:
        theme = self.session.viewer.theme
        self.setStyleSheet(style_sheet(theme))
        if "train" in self._made:
            self.train.progress.set_theme(theme)
        if "help" in self._made:
            self.help.set_theme(theme)

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
