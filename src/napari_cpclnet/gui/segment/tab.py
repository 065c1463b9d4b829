"""Tab 'Segment': paint a few slices of one scan, tick the scans to label, run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget
from superqt.utils import QSignalDebouncer

from napari_cpclnet.gui.layers.head_up import HeadUp
from napari_cpclnet.gui.layers.overlays import FollowScans
from napari_cpclnet.gui.layers.safe_removal import make_removal_safe
from napari_cpclnet.gui.layers.scan_layers import note
from napari_cpclnet.gui.layers.view import show_scan
from napari_cpclnet.gui.mend.mend_box import MendBox
from napari_cpclnet.gui.segment.first_steps import FirstSteps
from napari_cpclnet.gui.segment.options_box import OptionsBox
from napari_cpclnet.gui.segment.plan_lines import PlanLines
from napari_cpclnet.gui.segment.project_row import ProjectRow
from napari_cpclnet.gui.segment.query_box import QueryBox
from napari_cpclnet.gui.segment.results_box import ResultsBox
from napari_cpclnet.gui.segment.run_control import RunControl
from napari_cpclnet.gui.segment.suggest_control import SuggestControl
from napari_cpclnet.gui.segment.support_box import SupportBox
from napari_cpclnet.gui.session.reuse import scan_in_view
from napari_cpclnet.gui.session.run_check import plan
from napari_cpclnet.gui.settings.preferences import preferences, when_changed
from napari_cpclnet.gui.viewing.viewing_bar import ViewingBar
from napari_cpclnet.gui.widgets.column_scroll import ColumnScroll
from napari_cpclnet.gui.widgets.connections import Connections, when_destroyed
from napari_cpclnet.gui.widgets.heading import FoldHeading
from napari_cpclnet.gui.widgets.run_bar import RunBar
from napari_cpclnet.gui.widgets.shortcuts import (
    ACCEPT_SLICE,
    BACKGROUND_SCRIBBLE,
    CLASS_KEYS,
    COPY_ON,
    IMPORT_MASK,
    MARK_ABSENT,
    MARK_PARTIAL,
    MEND,
    NEW_LABELS,
    NEXT_PAINTED,
    NEXT_REVIEW,
    NEXT_SCAN,
    PREVIOUS_REVIEW,
    RUN,
    SAVE_PROJECT,
    SUGGEST,
    USE_SLICE,
    ViewerShortcuts,
)
from napari_cpclnet.gui.widgets.style import MARGIN, SPACING, spaced
from napari_cpclnet.segmentation.settings import RunSettings
from napari_cpclnet.settings_fields import field_of

if TYPE_CHECKING:
    from napari_cpclnet.gui.session.session import Session


class SegmentTab(QWidget):
    """The tab; all choices live in the session. `refreshed` tells that layers or choices may have changed."""

    refreshed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.mend = MendBox(session)
        self.viewing = ViewingBar(session, self.mend.control)
        self.first_steps = FirstSteps(session)
        self.project = ProjectRow(session)
        self.support = SupportBox(session)
        self.queries = QueryBox(session)
        self.options = OptionsBox()
        self.options.set_options(session.options)
        self._preferred = preferences().options()
        self.results = ResultsBox(session)
        self.bar = RunBar()
        self.plan = PlanLines()
        self.control = RunControl(session, self.bar, self)
        self.suggest = SuggestControl(session, self.bar, self)
        self._layout()
        self._connect()
        self._show_network(session.options)
        self.refresh()

    def _layout(self) -> None:
        content = QWidget()
        column = spaced(QVBoxLayout(content), MARGIN)
        column.addWidget(self.first_steps)
        column.addWidget(self.project)
        self.sections = (
            FoldHeading(
                "1   Support (reference scan)", "The scan you paint on, and what you painted.", self.support
            ),
            FoldHeading(
                "2   Scans to label",
                "Scans that get labels, each on its own voxels.",
                self.queries,
                self.options,
            ),
            FoldHeading(
                "3   Results", "What was found, where to look, and how to make it better.", self.results
            ),
            FoldHeading(
                "4   Mend", "Correct the selected labels by a few strokes, without a network.", self.mend
            ),
        )
        for section, widgets in zip(
            self.sections,
            ((self.support,), (self.queries, self.options), (self.results,), (self.mend,)),
            strict=True,
        ):
            for widget in (section, *widgets):
                column.addWidget(widget)
        column.addStretch(1)
        self.scroll = ColumnScroll(content)
        layout = spaced(QVBoxLayout(self), spacing=0)
        layout.addWidget(self.viewing)
        layout.addWidget(self.scroll, stretch=1)
        self.bar.layout().setContentsMargins(MARGIN, SPACING, MARGIN, SPACING)
        self.bar.layout().insertWidget(0, self.plan)
        layout.addWidget(self.bar)

    def _connect(self) -> None:
        viewer = self.session.viewer
        self._opened: Image | None = None
        self._refresh_soon = QSignalDebouncer(parent=self)
        self._refresh_soon.triggered.connect(self.refresh)
        self._plan_soon = QSignalDebouncer(parent=self)
        self._plan_soon.triggered.connect(self._show_plan)
        self.support.shown.connect(self._plan_soon.throttle)
        self._reveal = QTimer(self)
        self._reveal.setSingleShot(True)
        self._reveal.setInterval(1000)
        self.scroll.verticalScrollBar().rangeChanged.connect(self._show_results)
        self.support.changed.connect(self.refresh)
        self.support.message.connect(lambda text, error: self.bar.show_message(text, error=error))
        self.support.slices.plane_wanted.connect(
            lambda plane: self.options.set_options(self.session.options.model_copy(update={"plane": plane}))
        )
        self.viewing.message.connect(lambda text, error: self.bar.show_message(text, error=error))
        self.first_steps.message.connect(lambda text, error: self.bar.show_message(text, error=error))
        self.queries.changed.connect(self.refresh)
        self.queries.message.connect(lambda text, error: self.bar.show_message(text, error=error))
        self.control.progressed.connect(self.queries.show_queries)
        self.project.message.connect(lambda text, error: self.bar.show_message(text, error=error))
        self.project.opened.connect(self._on_project)
        self.control.progressed.connect(self.results.show_results)
        self.control.progressed.connect(self.project.control.touch)
        self.results.changed.connect(self._on_slice_used)
        self.results.message.connect(lambda text, error: self.bar.show_message(text, error=error))
        self.results.reviewed.connect(self.project.control.touch)
        self.results.suggest_requested.connect(self.suggest.start)
        self.suggest.runner.finished.connect(self.refresh)
        self.mend.control.message.connect(lambda text, error: self.bar.show_message(text, error=error))
        self.options.changed.connect(self._set_options)
        self.control.runner.finished.connect(self._on_run_finished)

        self._events = Connections()
        self._events.connect(self.session.changed, self._on_choices)
        self._events.connect(viewer.layers.events.inserted, self._on_inserted)
        self._events.connect(viewer.layers.events.removed, self._on_removed)
        self._events.connect(viewer.layers.events.reordered, self._on_layers)
        self._names = Connections()
        shortcuts = ViewerShortcuts(viewer)
        shortcuts.bind(RUN, self.bar.press)
        shortcuts.bind(NEW_LABELS, self.support.new_labels)
        shortcuts.bind(IMPORT_MASK, self.support.import_mask)
        shortcuts.bind(NEXT_PAINTED, self.support.slices.next_painted)
        shortcuts.bind(COPY_ON, self.support.slices.copy_on)
        shortcuts.bind(MARK_ABSENT, self.support.slices.mark_absent)
        shortcuts.bind(MARK_PARTIAL, self.support.slices.mark_partial)
        shortcuts.bind(BACKGROUND_SCRIBBLE, self.support.slices.scribble_background)
        shortcuts.bind(SAVE_PROJECT, self.project.save)
        shortcuts.bind(USE_SLICE, self.results.use_slice)
        shortcuts.bind(MEND, self.mend.toggle)
        shortcuts.bind(SUGGEST, self.suggest.start)
        review = self.results.review
        shortcuts.bind(NEXT_REVIEW, review.go_on)
        shortcuts.bind(PREVIOUS_REVIEW, review.go_back)
        shortcuts.bind(ACCEPT_SLICE, review.accept_slice)
        shortcuts.bind(NEXT_SCAN, review.next_scan)
        for number, key in enumerate(CLASS_KEYS):
            shortcuts.bind(key, partial(self.support.classes.pick_number, number))
        self._follow = FollowScans(viewer)
        head_up = HeadUp(viewer)
        # The viewer outlives the panel when only the dock is closed.
        forget_preferences = when_changed(self._on_preferences)
        when_destroyed(
            self,
            self._events.close,
            self._names.close,
            self._follow.close,
            head_up.close,
            make_removal_safe(viewer),
            shortcuts.release,
            forget_preferences,
        )

    def refresh(self) -> None:
        """Show the layers of the viewer and the choices of the session."""
        if self.session.arranging:  # whoever does so says when the rest is there
            return
        self._show_opened()
        self.session.forget_removed()
        self._listen_to_names()
        self.support.refresh()
        self.queries.show_queries()
        self.results.show_results()
        self.refreshed.emit()

    def _on_choices(self) -> None:
        self.bar.settle()
        self.queries.show_results_folder()
        self._plan_soon.throttle()

    def _show_plan(self) -> None:
        """Say what the next run would use; while one is under way that is another matter."""
        self.plan.show_plan(plan(self.session))

    def _set_options(self, options: RunSettings) -> None:
        old = self.session.options
        if (options.weights, options.device) != (old.weights, old.device):
            self._show_network(options)
        self.session.options = options
        self.project.control.touch()
        self.support.refresh()

    def _on_project(self) -> None:
        self.options.set_options(self.session.options)
        self.queries.show_results_folder()
        self.refresh()

    def _show_network(self, options: RunSettings) -> None:
        """Say in the status line what the next run takes."""
        weights = "bundled weights" if options.weights is None else f"weights {options.weights.name}"
        titles = field_of(RunSettings, "device").choices | {"auto": "automatic"}
        self.bar.set_network(titles.get(options.device, options.device), weights)

    def _on_preferences(self) -> None:
        """Take over what was changed on the preferences page, and nothing else."""
        self.project.control.set_autosave(preferences().autosave, preferences().autosave_seconds)
        self.first_steps.setVisible(preferences().hint)
        new, old = preferences().options(), self._preferred
        self._preferred = new
        changed = {key: value for key, value in new if value != getattr(old, key)}
        if changed:
            self.options.set_options(self.session.options.model_copy(update=changed))

    def _on_run_finished(self) -> None:
        self.refresh()
        if len(self.session.results):
            self.sections[2].setChecked(True)
            # The layout learns of the table only later: follow it for a moment.
            self._reveal.start()
            self._show_results()

    def _on_slice_used(self) -> None:
        self.refresh()
        self.support.slices.show_in_view(scan_in_view(self.session))

    def _show_results(self) -> None:
        if self._reveal.isActive():
            bar = self.scroll.verticalScrollBar()
            bar.setValue(bar.maximum())

    def _on_inserted(self, event: Any) -> None:
        """Show a scan that was just opened, once all that come with it are there."""
        layer = event.value
        if isinstance(layer, Image) and "modality" in note(layer) and not self.session.arranging:
            self._opened = layer
        self._refresh_soon.throttle()

    def _show_opened(self) -> None:
        layer, self._opened = self._opened, None
        if layer is not None and layer in self.session.viewer.layers:
            show_scan(self.session.viewer, layer)

    def _on_layers(self, _event: Any = None) -> None:
        self._refresh_soon.throttle()

    def _on_removed(self, event: Any) -> None:
        self.session.forget(event.value)
        self._refresh_soon.throttle()

    def _listen_to_names(self) -> None:
        self._names.close()
        for layer in self.session.viewer.layers:
            self._names.connect(layer.events.name, self._on_layers)
