"""Choices of an evaluation: where the truth comes from, protocol, shots, supports, baselines, folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from napari_cpclnet.errors import SettingsError
from napari_cpclnet.evaluation.baselines.registry import DESCRIPTIONS
from napari_cpclnet.evaluation.settings import EvaluationSettings, ProtocolName
from napari_cpclnet.gui.evaluate.truth_table import TruthTable
from napari_cpclnet.gui.jobs.evaluation_job import EvaluationJob
from napari_cpclnet.gui.widgets.path_edit import PathEdit
from napari_cpclnet.gui.widgets.setting_widgets import add_row, number_of
from napari_cpclnet.gui.widgets.style import spaced
from napari_cpclnet.settings_fields import field_of

if TYPE_CHECKING:
    from napari_cpclnet.gui.session.session import Session

TABLES = "Cases table (*.csv *.yaml *.yml)"
MOST_SHOTS = 100
PROTOCOLS: dict[str, tuple[ProtocolName, ...]] = {
    "Across patients (recommended)": ("honest",),
    "As published": ("legacy",),
    "Across patients and as published": ("honest", "legacy"),
    "Same volume": ("same-volume",),
}


class SourceBox(QWidget):
    """Open scans with truth, or a cases table."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.layers = QRadioButton("Open scans")
        self.layers.setToolTip("Scans and their complete labels that are open in the viewer.")
        self.table = QRadioButton("Cases table")
        self.table.setToolTip("CSV or YAML with the columns patient, modality, image, label, classes.")
        self.truths = TruthTable(session)
        self.path = PathEdit("cases.csv", "Path of the cases table.", self._pick)
        self.layers.setChecked(True)
        self.path.hide()
        self.table.toggled.connect(self._on_toggled)
        radios = QHBoxLayout()
        radios.addWidget(self.layers)
        radios.addWidget(self.table)
        radios.addStretch(1)
        column = spaced(QVBoxLayout(self))
        column.addLayout(radios)
        column.addWidget(self.truths)
        column.addWidget(self.path)

    def _on_toggled(self, table: bool) -> None:
        self.truths.setVisible(not table)
        self.path.setVisible(table)

    def _pick(self) -> str:
        return QFileDialog.getOpenFileName(self, "Choose a cases table", "", TABLES)[0]


class EvaluationBox(QWidget):
    """Protocol, shots, supports, baselines and folder."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol = QComboBox()
        self.protocol.addItems(list(PROTOCOLS))
        self.protocol.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.protocol.setMinimumContentsLength(8)
        self.protocol.setToolTip(
            "Across patients: the support is another patient, every slice counts.\n"
            "As published: the protocol of the paper; it reads from the ground truth where the organ begins and ends.\n"
            "Same volume: a few slices of a scan are given, the rest of it is scored."
        )
        shots = field_of(EvaluationSettings, "shots")
        self.shots = QLineEdit(", ".join(map(str, shots.default)))
        self.shots.setToolTip(shots.description)
        self.supports = number_of(EvaluationSettings, "supports")
        self.baselines = {name: QCheckBox(name) for name in DESCRIPTIONS}
        boxes = QGridLayout()
        boxes.setContentsMargins(0, 0, 0, 0)
        for number, (name, box) in enumerate(self.baselines.items()):
            box.setToolTip(DESCRIPTIONS[name])
            boxes.addWidget(box, number // 2, number % 2)
        tip = (
            "Folder of the results; empty: nothing is kept but what you export.\n"
            "An evaluation that was cut short there is gone on with."
        )
        self.out = PathEdit("temporary", tip, self._pick)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(self.protocol)  # below a heading that says what it is
        add_row(form, EvaluationSettings, "shots", self.shots)
        add_row(form, EvaluationSettings, "supports", self.supports)
        # Beside their label two columns of them are wider than the panel.
        form.addRow(QLabel(field_of(EvaluationSettings, "baselines").title))
        form.addRow(boxes)
        form.addRow("Folder", self.out)

    def job(self, source: SourceBox, session: Session) -> EvaluationJob:
        """Freeze the choices.

        Raises
        ------
        CpclnetError
            With one sentence that says what is missing.
        """
        table = source.path.path()
        if source.table.isChecked() and table is None:
            raise SettingsError("Choose a cases table, or evaluate the open scans.")
        return EvaluationJob(
            source=table if source.table.isChecked() else source.truths.pairs(),
            settings=EvaluationSettings(
                protocols=PROTOCOLS[self.protocol.currentText()],
                shots=parse_shots(self.shots.text()),
                supports=self.supports.value(),
                baselines=tuple(name for name, box in self.baselines.items() if box.isChecked()),
                plane=session.options.plane,
                device=session.options.device,
                precision=session.options.precision,
                keep_predictions=True,  # a click on a row shows one
            ),
            options=session.options,
            out=self.out.path(),
        )

    def _pick(self) -> str:
        return QFileDialog.getExistingDirectory(self, "Choose a folder for the results")


def parse_shots(text: str) -> tuple[int, ...]:
    """Numbers from ``5`` or ``1, 3, 5``; SettingsError if it is something else."""
    words = text.replace(",", " ").split()
    numbers = [int(word) for word in words if word.isdecimal()]
    if not words or len(numbers) < len(words) or not all(1 <= n <= MOST_SHOTS for n in numbers):
        raise SettingsError(
            f"Support slices must be numbers from 1 to {MOST_SHOTS}, like 5 or 1, 3, 5; not '{text}'."
        )
    return tuple(dict.fromkeys(numbers))
