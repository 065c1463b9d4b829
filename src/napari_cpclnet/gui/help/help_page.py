"""Tab 'Help': what to do first, the shortcuts, the words."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QTextBrowser, QVBoxLayout, QWidget

from napari_cpclnet.gui.help.help_text import help_html
from napari_cpclnet.gui.widgets.shortcuts import WHAT, printed
from napari_cpclnet.gui.widgets.style import MARGIN, plot_colours


class HelpPage(QWidget):
    """Emits `example_requested` when the link to the example is clicked."""

    example_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.browser = QTextBrowser()
        self.browser.setOpenLinks(False)
        self.browser.document().setDocumentMargin(2 * MARGIN)
        self.browser.anchorClicked.connect(self._on_link)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.browser)
        self.set_theme("dark")

    def set_theme(self, name: str) -> None:
        """Take the colours of a napari theme."""
        colours = plot_colours(name)
        place = self.browser.verticalScrollBar().value()
        keys = {printed(shortcut): what for shortcut, what in WHAT.items()}
        self.browser.setHtml(help_html(keys, colours.text, colours.first))
        self.browser.verticalScrollBar().setValue(place)

    def _on_link(self, _url: Any) -> None:
        self.example_requested.emit()
