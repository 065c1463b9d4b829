"""Two lines above the Run button: what the next run learns from, and what it labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_cpclnet.gui.widgets.column_scroll import ElidedLabel
from napari_cpclnet.gui.widgets.style import spaced

if TYPE_CHECKING:
    from napari_cpclnet.gui.session.run_check import Plan


class PlanLines(QWidget):
    """Hidden where there is nothing to say."""

    def __init__(self) -> None:
        super().__init__()
        self.learns, self.labels = ElidedLabel(), ElidedLabel()
        column = spaced(QVBoxLayout(self), spacing=1)
        for line in (self.learns, self.labels):
            line.setObjectName("status")
            column.addWidget(line)
        self.hide()

    def show_plan(self, plan: Plan) -> None:
        """Show what a run would use; all of it in the tooltip."""
        self.learns.setText(plan.learns)
        self.labels.setText(plan.labels)
        self.setToolTip(plan.details)
        self.setVisible(bool(plan.learns))
