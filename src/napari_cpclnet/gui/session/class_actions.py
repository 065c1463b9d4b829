"""What a session does with its classes: every change goes to the list and to all layers. No Qt."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
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
    from napari_cpclnet.gui.layers.support_slices import SupportEntry, SupportPair


class ClassActions:
    """The part of a `Session` that deals with its ``classes``."""

    def class_name(self, pair: SupportPair, value: int) -> str:
        """Name of a label value; in a pair that is not used it is what that layer calls it."""
        return self.classes.name(value) if self.is_in_use(pair) else class_name(pair.labels, value)

    def class_color(self, pair: SupportPair, value: int) -> Color:
        """Colour of a label value; in a pair that is not used it is that of the layer."""
        return self.classes.color(value) if self.is_in_use(pair) else class_color(pair.labels, value)

    def add_class(self, name: str = "") -> int:
        """Add a class, or find that of the name, and select it for painting.

        A class that came with the layer, has no name and was not painted becomes it.
        """
        with self._class_step():
            spare = self._spare()
            renamed = bool(name.strip() and spare) and self.classes.rename(spare[0], name)
            value = spare[0] if renamed else self.classes.add(name)
        if self.support_labels is not None:
            self.support_labels.selected_label = value
        self.publish_classes()
        return value

    def rename_class(self, value: int, name: str) -> None:
        """Give a class another name.

        Raises
        ------
        SupportError
            If another class has that name.
        """
        with self._class_step():
            if not self.classes.rename(value, name):
                raise SupportError(f"There is a class '{name.strip()}' already: paint with that one.")
        self.publish_classes()

    def set_class_color(self, value: int, color: Color | None) -> None:
        """Give a class a colour on all layers."""
        with self._class_step():
            self.classes.set_color(value, color)
        self.publish_classes()

    def set_class_code(self, value: int, code: str | None) -> None:
        """Give a class a term of the terminology; None: its name is looked up."""
        with self._class_step():
            self.classes.set_code(value, code)
        self.publish_classes()

    def remove_class(self, value: int) -> None:
        """Take a class off the list; it must not be painted.

        Raises
        ------
        SupportError
            If it is painted.
        """
        painted = sum(value in entry.values for entry in self.entries() if self.is_in_use(entry.pair))
        if painted:
            where = "1 slice" if painted == 1 else f"{painted} slices"
            raise SupportError(f"Cannot remove '{self.classes.name(value)}': it is painted on {where}.")
        with self._class_step():
            self.classes.remove(value)
        self.publish_classes()

    def adopt_colors(self, labels: Labels) -> None:
        """Take over colours the user gave classes on a layer in napari."""
        changed = {value: class_color(labels, value) for value in self.classes}
        for value, color in changed.items():
            if color != self.classes.color(value):
                self.classes.set_color(value, color)
        self.publish_classes()

    def named_classes(self) -> dict[int, str]:
        """Classes that somebody named."""
        return {value: name for value, name in self.classes.names().items() if name != default_name(value)}

    def publish_classes(self) -> None:
        """Give all layers that share the classes their names and colours."""
        names, colors, terms = self.classes.names(), self.classes.colors(), self.classes.terms()
        scribbles = {} if self.background is None else {self.background: BACKGROUND_NAME}
        colors |= dict.fromkeys(scribbles, BACKGROUND_COLOR)
        for layer in self.viewer.layers:
            if isinstance(layer, Labels) and (is_result(layer) or self._supports.is_in_use(layer)):
                set_class_names(layer, names, terms, {} if is_result(layer) else scribbles)
                set_class_colors(layer, colors)
        self.changed.emit()

    def settle_classes(self, entries: Iterable[SupportEntry]) -> None:
        """Make classes of painted values that have none, and forget those that were made so and are painted no more."""
        used = {value for entry in entries if self.is_in_use(entry.pair) for value in entry.values}
        used |= {one.value for result in self.results for one in result.summary.classes}
        self.classes.ensure(sorted(used))
        self.classes.drop_unused(used)

    @contextmanager
    def _class_step(self) -> Iterator[None]:
        """What happens to the classes inside is a step of undo of the layer one paints on."""
        before = dict(self.classes.items())
        yield
        layer, after = self.support_labels, dict(self.classes.items())
        if layer is not None and before != after:
            self.steps.add(
                layer,
                lambda: self._restore_classes(before, after),
                lambda: self._restore_classes(after, before),
            )

    def _join(
        self, names: dict[int, str], colors: dict[int, Color], painted: Iterable[int]
    ) -> dict[int, int]:
        if names:
            for value in self._spare(rescan=()):
                self.classes.remove(value)
        return self.classes.join(names, colors, painted=painted)

    def _spare(self, *, rescan: Collection[Labels] | None = None) -> list[int]:
        """Classes that have no name and are not painted; ``rescan`` as in `Session.entries`."""
        in_use = {
            value
            for entry in self.entries(rescan=rescan)
            if self.is_in_use(entry.pair)
            for value in entry.values
        }
        return [v for v in self.classes if v not in in_use and self.classes.name(v) == default_name(v)]
