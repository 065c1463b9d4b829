"""Steps of napari's own undo that change what is no paint, too: marks and classes. No Qt.

napari keeps for each labels layer which voxels were what before each stroke, and nothing else. A step of ours has a
change of no voxels among them; when napari takes that back, or makes it again, so is what belongs to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Labels

Action = Callable[[], object]


def no_voxels(layer: Labels) -> tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
    """A change of no voxels, as napari keeps changes; in its history it says that a step is the plugin's."""
    none = np.zeros(0, layer.data.dtype)
    return tuple(np.zeros(0, np.intp) for _ in range(layer.ndim)), none, none


def is_ours(item: Any) -> bool:
    """Whether a step of napari's history was made by the plugin, not by a brush."""
    return any(not hasattr(atom, "slice_key") and not np.size(atom[0][0]) for atom in item)


@dataclass(eq=False)
class _Step:
    layer: Labels
    atom: Any
    undo: Action
    redo: Action
    done: bool = True

    def state(self) -> bool | None:
        """Whether napari has it as done or as taken back; None if it forgot it."""
        for done, history in ((True, self.layer._undo_history), (False, self.layer._redo_history)):
            if any(atom is self.atom for item in history for atom in item):
                return done
        return None


class UndoSteps:
    """What belongs to steps of undo besides paint.

    Parameters
    ----------
    changed
        Called when napari has taken steps back, or made them again.
    """

    def __init__(self, changed: Action) -> None:
        self._changed = changed
        self._steps: list[_Step] = []

    def add(self, layer: Labels, undo: Action, redo: Action) -> None:
        """Put something that was just done on top of the undo of a layer; within `one_step`, as part of that."""
        atom = no_voxels(layer)
        layer._save_history(atom)
        self._steps.append(_Step(layer, atom, undo, redo))
        layer.events.set_data.connect(self._on_set_data)

    @contextmanager
    def one_step(self, layer: Labels, undo: Action, redo: Action) -> Iterator[None]:
        """One step of undo of whatever is painted inside, and of ``undo``; ``redo`` is what it takes back."""
        # First of all, as napari ends its step with the first paint inside.
        with layer.block_history():
            self.add(layer, undo, redo)
            yield

    def sync(self) -> None:
        """Follow what napari has taken back and made again since the last time."""
        moved = False
        states = [(step, step.state()) for step in self._steps]
        self._steps = [step for step, state in states if state is not None]
        # Last things first when they are taken back, and in their order when they are made again.
        for step in [step for step, state in reversed(states) if state is False and step.done]:
            step.done, moved = False, True
            step.undo()
        for step in [step for step, state in states if state and not step.done]:
            step.done, moved = True, True
            step.redo()
        if moved:
            self._changed()

    def forget(self, layer: Labels) -> None:
        """Drop the steps of a layer that is gone."""
        self._steps = [step for step in self._steps if step.layer is not layer]
        layer.events.set_data.disconnect(self._on_set_data)

    def _on_set_data(self, _event: Any = None) -> None:
        self.sync()


@contextmanager
def history_kept(layer: Labels) -> Iterator[None]:
    """Keep napari's history over an assignment of ``layer.data``, which must leave every voxel what it is."""
    undo, redo = layer._undo_history, layer._redo_history
    yield
    layer._undo_history, layer._redo_history = undo, redo
