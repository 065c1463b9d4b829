"""Changes of a session's classes: each goes to the list and to all layers, and is a step of undo. No Qt."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari.layers import Labels

from napari_cpclnet.errors import SupportError
from napari_cpclnet.gui.layers.class_names import (
    class_color,
    class_name,
    default_name,
    set_class_colors,
    set_class_names,
)
from napari_cpclnet.gui.layers.corrections import is_result
from napari_cpclnet.gui.layers.scribbles import BACKGROUND_COLOR, BACKGROUND_NAME

if TYPE_CHECKING:
    from napari_cpclnet.gui.layers.class_names import Color
    from napari_cpclnet.gui.layers.support_slices import PaintedSlice, SupportPair
    from napari_cpclnet.gui.session.classes import Classes, ClassInfo
    from napari_cpclnet.gui.session.results import Results
    from napari_cpclnet.gui.session.support_slices import SupportSlices


class ClassActions:
    """Changes of the classes of a session, shared by all its layers.

    Parameters
    ----------
    classes
        The list.
    slices
        Painted slices, which say whether a class is in use.
    results
        What was found, which may show classes that are not painted.
    """

    def __init__(self, classes: Classes, slices: SupportSlices, results: Results) -> None:
        self.classes, self.slices, self.results = classes, slices, results

    def name(self, pair: SupportPair, value: int) -> str:
        """Name of a label value; in a pair that is not used it is what that layer calls it."""
        return self.classes.name(value) if self.slices.is_in_use(pair) else class_name(pair.labels, value)

    def color(self, pair: SupportPair, value: int) -> Color:
        """Colour of a label value; in a pair that is not used it is that of the layer."""
        return self.classes.color(value) if self.slices.is_in_use(pair) else class_color(pair.labels, value)

    def add(self, name: str = "") -> int:
        """Add a class, or find that of the name, and select it for painting.

        A class that came with the layer, has no name and was not painted becomes it.
        """
        with self._step():
            spare = self._spare()
            renamed = bool(name.strip() and spare) and self.classes.rename(spare[0], name)
            value = spare[0] if renamed else self.classes.add(name)
        if self.slices.labels is not None:
            self.slices.labels.selected_label = value
        self.publish()
        return value

    def rename(self, value: int, name: str) -> None:
        """Give a class another name.

        Raises
        ------
        SupportError
            If another class has that name.
        """
        with self._step():
            if not self.classes.rename(value, name):
                raise SupportError(f"There is a class '{name.strip()}' already: paint with that one.")
        self.publish()

    def set_color(self, value: int, color: Color | None) -> None:
        """Give a class a colour on all layers."""
        with self._step():
            self.classes.set_color(value, color)
        self.publish()

    def set_code(self, value: int, code: str | None) -> None:
        """Give a class a term of the terminology; None: its name is looked up."""
        with self._step():
            self.classes.set_code(value, code)
        self.publish()

    def remove(self, value: int) -> None:
        """Take a class off the list; it must not be painted.

        Raises
        ------
        SupportError
            If it is painted.
        """
        painted = sum(
            value in entry.values for entry in self.slices.entries() if self.slices.is_in_use(entry.pair)
        )
        if painted:
            where = "1 slice" if painted == 1 else f"{painted} slices"
            raise SupportError(f"Cannot remove '{self.classes.name(value)}': it is painted on {where}.")
        with self._step():
            self.classes.remove(value)
        self.publish()

    def adopt_colors(self, labels: Labels) -> None:
        """Take over colours the user gave classes on a layer in napari."""
        changed = {value: class_color(labels, value) for value in self.classes}
        for value, color in changed.items():
            if color != self.classes.color(value):
                self.classes.set_color(value, color)
        self.publish()

    def named(self) -> dict[int, str]:
        """Classes that somebody named."""
        return {value: name for value, name in self.classes.names().items() if name != default_name(value)}

    def publish(self) -> None:
        """Give all layers that share the classes their names and colours."""
        names, colors, terms = self.classes.names(), self.classes.colors(), self.classes.terms()
        scribbles = {} if self.slices.background is None else {self.slices.background: BACKGROUND_NAME}
        colors |= dict.fromkeys(scribbles, BACKGROUND_COLOR)
        for layer in self.slices.viewer.layers:
            if isinstance(layer, Labels) and (is_result(layer) or self.slices.marks.is_in_use(layer)):
                set_class_names(layer, names, terms, {} if is_result(layer) else scribbles)
                set_class_colors(layer, colors)
        self.slices.changed.emit()

    def settle(self, entries: Iterable[PaintedSlice]) -> None:
        """Make classes of painted values that have none, and forget those that were made so and are painted no more."""
        used = {value for entry in entries if self.slices.is_in_use(entry.pair) for value in entry.values}
        used |= {one.value for result in self.results for one in result.summary.classes}
        self.classes.ensure(sorted(used))
        self.classes.drop_unused(used)

    @contextmanager
    def _step(self) -> Iterator[None]:
        """What happens to the classes inside is a step of undo of the layer one paints on."""
        before = dict(self.classes.items())
        yield
        layer, after = self.slices.labels, dict(self.classes.items())
        if layer is not None and before != after:
            self.slices.steps.add(
                layer,
                lambda: self.restore(before, after),
                lambda: self.restore(after, before),
            )

    def join(self, names: dict[int, str], colors: dict[int, Color], painted: Iterable[int]) -> dict[int, int]:
        """Take over the classes of a mask by name, as `Classes.join`; those nobody named or painted make room."""
        if names:
            for value in self._spare(rescan=()):
                self.classes.remove(value)
        return self.classes.join(names, colors, painted=painted)

    def restore(self, wanted: Mapping[int, ClassInfo], other: Mapping[int, ClassInfo]) -> None:
        """Make classes what they are in ``wanted``, those of them that differ from ``other``."""
        differ = {v for v in {*wanted, *other} if wanted.get(v) != other.get(v)}
        self.classes.set({value: wanted.get(value) for value in differ})

    def _spare(self, *, rescan: Collection[Labels] | None = None) -> list[int]:
        """Classes that have no name and are not painted; ``rescan`` as in `SupportSlices.entries`."""
        in_use = {
            value
            for entry in self.slices.entries(rescan=rescan)
            if self.slices.is_in_use(entry.pair)
            for value in entry.values
        }
        return [v for v in self.classes if v not in in_use and self.classes.name(v) == default_name(v)]
