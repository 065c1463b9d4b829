"""Tables and lists as high as their rows, so that a short one takes no room and a long one scrolls."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qtpy.QtWidgets import QAbstractItemView


def fit_rows(view: QAbstractItemView, rows: int, *, least: int, most: int) -> None:
    """Set the height of a view to between ``least`` and ``most`` rows."""
    heights = getattr(view, "rowHeight", view.sizeHintForRow)  # a table has heights of its own
    row = max(heights(0), view.fontMetrics().height())
    header = getattr(view, "horizontalHeader", None)
    top = header().sizeHint().height() if header is not None and not header().isHidden() else 0
    view.setFixedHeight(top + row * min(max(rows, least), most) + 2 * view.frameWidth() + 8)
