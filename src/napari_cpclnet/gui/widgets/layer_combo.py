"""Drop-down list of layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QSizePolicy

if TYPE_CHECKING:
    from napari.layers import Layer


class LayerCombo(QComboBox):
    """Shows layers by name; `chosen` carries the layer a user picked, or None."""

    chosen = Signal(object)

    def __init__(self, placeholder: str) -> None:
        super().__init__()
        self._layers: list[Layer] = []
        self.setPlaceholderText(placeholder)
        # Long layer names must not widen the dock.
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.activated.connect(self._on_activated)

    def show_layers(self, layers: Sequence[Layer], current: Layer | None) -> None:
        """Replace the list; no signal is sent."""
        self._layers = list(layers)
        with QSignalBlocker(self):
            self.clear()
            self.addItems([layer.name for layer in self._layers])
            self.setCurrentIndex(self._layers.index(current) if current in self._layers else -1)
        self.setEnabled(bool(self._layers))

    def _on_activated(self, index: int) -> None:
        self.chosen.emit(self._layers[index] if 0 <= index < len(self._layers) else None)
