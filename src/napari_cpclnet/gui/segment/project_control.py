"""Saves and opens projects in the background, by itself while one works, and tells the panel."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtCore import QObject, QTimer, Signal

from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.gui.layers.corrections import is_result
from napari_cpclnet.gui.layers.overlays import is_map
from napari_cpclnet.gui.layers.view import together
from napari_cpclnet.gui.project import recent as places
from napari_cpclnet.gui.project.autosave_clock import AutosaveClock
from napari_cpclnet.gui.project.restore import restoring
from napari_cpclnet.gui.project.snapshot import Snapshot, Written, stamp_of, write_snapshot
from napari_cpclnet.gui.project.tracker import ProjectTracker
from napari_cpclnet.gui.session.queries import Queries
from napari_cpclnet.gui.session.results import Results
from napari_cpclnet.gui.settings.preferences import preferences
from napari_cpclnet.gui.widgets.connections import Connections, when_destroyed
from napari_cpclnet.gui.widgets.turns import Turns
from napari_cpclnet.gui.widgets.worker import BackgroundCall
from napari_cpclnet.project import locate, open_project, read_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_cpclnet.gui.session.session import Session
    from napari_cpclnet.project import LocatedScan, Project

# Layers that leave in one turn of the event loop.
CLOSED_AT_ONCE = 3
# What tells of paint, of other plugins that set the data, and of names and colours of classes.
LABEL_EVENTS = ("paint", "labels_update", "data", "features", "colormap")


class ProjectControl(QObject):
    """Keeps the session's project.

    Signals: ``state_changed`` (title, where it is saved, whether all of it is), ``message(text, is_error)``,
    ``located(project, folder, list of Found)`` when the scans of a project that is to be opened were looked for, and
    ``opened`` when it is open.
    """

    state_changed = Signal()
    message = Signal(str, bool)
    located = Signal(object, object, object)
    opened = Signal()

    def __init__(
        self, session: Session, parent: QObject | None = None, clock: AutosaveClock | None = None
    ) -> None:
        super().__init__(parent)
        self.session = session
        self.keeper = ProjectTracker(session)
        self.clock = clock or AutosaveClock(longest=preferences().autosave_seconds)
        self.autosave = preferences().autosave
        self.problem = ""
        self._saving = False
        self._opening = Turns(self)
        self._queued: list[Snapshot] = []
        self._unsaved: Path | None = None  # to be dropped once it is saved elsewhere
        self._seen: dict[Labels, Any] = {}
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._on_due)
        self._removal = QTimer(self)  # once for all layers that go together
        self._removal.setSingleShot(True)
        self._removal.setInterval(0)
        viewer = session.viewer
        self._layers, self._events = Connections(), Connections()
        for emitter in (viewer.layers.events.inserted, viewer.layers.events.reordered):
            self._events.connect(emitter, self._on_layers)
        self._events.connect(viewer.layers.events.removing, self._before_removal)
        self._events.connect(viewer.layers.events.removed, self._on_removed)
        self._events.connect(session.changed, self.touch)
        when_destroyed(self, self._events.close, self._layers.close, self.flush)
        self._listen()

    @property
    def title(self) -> str:
        """Name of the project."""
        folder = self.keeper.folder
        return "Unsaved project" if folder is None or not self.keeper.own else folder.name

    @property
    def is_saved(self) -> bool:
        """Whether everything is in the folder the user chose."""
        return self.keeper.own and not self.clock.pending and not self._saving and not self.problem

    @property
    def would_be_lost(self) -> bool:
        """Whether there are changes that only *Save* writes."""
        return not self.autosave and self.clock.pending and bool(self.session.viewer.layers)

    def set_autosave(self, on: bool, longest: float) -> None:
        """Save by itself from now on, ``longest`` seconds after a change at the latest, or not."""
        self.autosave, self.clock.longest = on, longest
        if on:
            self._plan()
        else:
            self._timer.stop()
        self.state_changed.emit()

    # Saving ----------------------------------------------------------------------------------------------------

    def touch(self) -> None:
        """Something that belongs to the project may have changed."""
        self.clock.changed()
        self._plan()
        self.state_changed.emit()

    def save(self) -> None:
        """Save now, into the project's folder; it must have one."""
        self._save(self._snapshot())

    def save_to(self, folder: Path) -> None:
        """Save into a folder, and keep the project there from now on."""
        self._opening.finish()
        if folder != self.keeper.folder and stamp_of(folder) is not None:
            text = f"{folder} holds a project already: open it, or choose another folder."
            self.message.emit(text, True)
            return
        if not self.keeper.own:
            self._unsaved = self.keeper.folder
        self.keeper.keep_in(folder, own=True)
        self.save()

    def flush(self) -> None:
        """Save at once and wait for it, as before the window closes; errors can be told to nobody then."""
        with suppress(CpclnetError, OSError):
            if self._wanted():
                self.clock.begun()
                self.keeper.done(write_snapshot(self.keeper.snapshot()))

    def _wanted(self) -> bool:
        """Whether there is something to save by itself; work worth keeping gets a folder for unsaved work.

        Nothing of a viewer that is being emptied or closed, or of a project that is half open.
        """
        if (
            self._opening.are_left
            or not self.autosave
            or not self.clock.pending
            or not self.session.viewer.layers
        ):
            return False
        if self.keeper.folder is None:
            if not self.keeper.worth_keeping():
                return False
            self.keeper.keep_in(places.new_unsaved(), own=False)
        return True

    def _on_due(self) -> None:
        if self._wanted():
            self._save(self._snapshot())
        else:
            self.clock.begun()  # nothing that would be missed

    def _snapshot(self) -> Snapshot | None:
        self.clock.begun()
        try:
            return self.keeper.snapshot()
        except CpclnetError as error:
            self._failed(str(error))
            return None

    def _save(self, snapshot: Snapshot | None) -> None:
        if snapshot is None:
            return
        if self._saving:
            self._queued.append(snapshot)
            return
        self._saving = True
        call = BackgroundCall(lambda: write_snapshot(snapshot), self)
        call.done.connect(self._written)
        call.failed.connect(self._failed)
        call.start()
        self.state_changed.emit()

    def _written(self, written: Written) -> None:
        self.keeper.done(written)
        self._saving, self.problem = False, ""
        if self.keeper.own and written.folder == self.keeper.folder:
            places.remember_project(written.folder)
            if self._unsaved is not None:
                places.drop_unsaved(self._unsaved)
                self._unsaved = None
        self._go_on()

    def _failed(self, text: str) -> None:
        self.keeper.failed()
        self._saving = False
        if text != self.problem:  # said once, not with every try
            self.problem = text
            self.message.emit(f"The project is not saved: {text}", True)
        self.clock.changed()
        self._go_on()

    def _go_on(self) -> None:
        if self._queued:
            self._save(self._queued.pop(0))
        else:
            self._plan()
        self.state_changed.emit()

    def _plan(self) -> None:
        due = self.clock.due_in()
        if due is not None and self.autosave and not self._saving:
            self._timer.start(int(due * 1000) + 1)

    # Opening ---------------------------------------------------------------------------------------------------

    def open(self, folder: Path, also: Sequence[Path] = ()) -> None:
        """Read a project and look for its scans, in the folders ``also`` too; `located` tells when that is done."""
        self._opening.finish()
        self.flush()
        self.message.emit(f"Looking for the scans of {places.title(folder)}…", False)

        def look() -> tuple[Project, list[LocatedScan]]:
            project = read_project(folder)
            return project, list(locate(project, folder, also))

        self._call(look, lambda result: self.located.emit(result[0], folder, result[1]))

    def read(self, project: Project, folder: Path, found: Sequence[LocatedScan], *, close: bool) -> None:
        """Read the scans where they were found and put all of it into the viewer.

        ``close``: take the layers that are open now out of the viewer before.
        """
        self.message.emit(f"Opening {places.title(folder)}…", False)
        self.flush()

        def load() -> Any:
            return open_project(project, folder, found, lazy_above=preferences().lazy_bytes)

        self._call(load, lambda opened: self._opening.start(self._showing(opened, close)))

    def _showing(self, opened: Any, close: bool) -> Iterator[None]:
        """Put it into the viewer, layer by layer."""
        own = not places.is_unsaved(opened.folder)
        self.flush()
        self.keeper.close()
        if close:
            yield from self._emptying()
            self.session.queries, self.session.results = Queries(), Results()
        yield from restoring(self.session, self.keeper, opened, own=own)
        self._unsaved = None
        self.problem = ""
        self.clock.begun()
        if own:
            places.remember_project(opened.folder)
        said = list(opened.problems)
        if (outside := self.session.queries.outside) is not None:
            said.append(
                f"The project wants its results in {outside}, outside its folder: a run asks before it saves there."
            )
        self.message.emit("\n".join(said), bool(opened.problems))
        self.opened.emit()
        self.state_changed.emit()

    def _emptying(self) -> Iterator[None]:
        """Take all layers out of the viewer, some in each turn of the event loop."""
        layers = self.session.viewer.layers
        layers.selection.clear()
        open_now = list(reversed(layers))
        for first in range(0, len(open_now), CLOSED_AT_ONCE):
            with together(self.session.viewer):
                for layer in open_now[first : first + CLOSED_AT_ONCE]:
                    if layer in layers:
                        layers.remove(layer)
            yield

    def _call(self, function: Callable[[], Any], then: Callable[[Any], None]) -> None:
        call = BackgroundCall(function, self)
        call.done.connect(then)
        call.failed.connect(lambda text: self.message.emit(text, True))
        call.start()

    # Changes ---------------------------------------------------------------------------------------------------

    def _on_layers(self, _event: Any = None) -> None:
        self._listen()
        self.touch()

    def _before_removal(self, event: Any) -> None:
        """Strokes of the last seconds are in a layer that is about to go, alone or with all the others."""
        if is_map(self.session.viewer.layers[event.index]):
            return
        if not self._removal.isActive():
            self._removal.start()
            if self._wanted():
                self._save(self._snapshot())

    def _on_removed(self, event: Any) -> None:
        self.keeper.forget(event.value)
        self._seen.pop(event.value, None)
        self._on_layers()
        if not self.session.viewer.layers:
            # who takes all layers out begins something new: the project stays on disk as it was
            self.keeper.close()
            self.clock.begun()
            self.state_changed.emit()

    def _listen(self) -> None:
        self._layers.close()
        for layer in self.session.viewer.layers:
            self._layers.connect(layer.events.name, self._on_layer)
            if isinstance(layer, Labels) and not is_map(layer):
                self._seen.setdefault(layer, self._view())
                self._layers.connect(layer.events.set_data, self._on_set_data)
                for name in LABEL_EVENTS:
                    self._layers.connect(getattr(layer.events, name), self._on_layer)

    def _on_layer(self, event: Any) -> None:
        layer = event.source
        if not (isinstance(layer, Labels) and is_result(layer) and not layer.editable):  # a run is filling it
            self.keeper.touch(layer)
            self.touch()

    def _on_set_data(self, event: Any) -> None:
        """Undo tells only that the layer is drawn anew, and so does going to another slice."""
        view = self._view()
        if self._seen.get(event.source) == view:
            self._on_layer(event)
        self._seen[event.source] = view

    def _view(self) -> Any:
        dims = self.session.viewer.dims
        return dims.point, dims.order, dims.ndisplay
