"""Choices of a training run: what it learns from, its folder, its length and the weights it begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QFormLayout, QLabel, QSpinBox, QWidget

from napari_cpclnet.errors import SettingsError
from napari_cpclnet.gui.jobs.training_folder import TrainingFolder, look_into
from napari_cpclnet.gui.jobs.training_job import BUNDLED, TrainingJob
from napari_cpclnet.gui.layers.scan_layers import LayerScan, refusal
from napari_cpclnet.gui.widgets.path_edit import WEIGHTS, PathEdit
from napari_cpclnet.gui.widgets.setting_widgets import add_row, choice_of, number_of
from napari_cpclnet.model.settings import CPCLNetSettings
from napari_cpclnet.training.settings import TrainingSettings

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cpclnet.gui.session.session import Session

NO_SCANS, FOLDER, OPEN = "None", "A folder", "The open scans"
NO_LABELS, TABLE, MASKS = "None", "A table of cases", "A folder of images and masks"
TENTH = "a tenth of the patients"
MOST_FOLDS = 20
RANDOM, FILE = "Random initialisation", "A weights file"
BUNDLED_WORDS = "Bundled weights"
STEPS, VALIDATE_EVERY = 1000, 100


class SourcesBox(QWidget):
    """Phantoms, unlabelled scans and labelled ones."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.phantoms = QCheckBox("Phantoms")
        self.phantoms.setToolTip(
            "Phantoms made on the fly, with organs that are known. Making them takes minutes, once per folder."
        )
        self.phantoms.setChecked(True)
        self.scans = _combo(
            (NO_SCANS, FOLDER, OPEN),
            "Unlabelled scans to learn from, of any modality. Regions of like grey value stand in for organs.\n"
            "Open scans are copied into the folder of the run.",
        )
        self.folder = PathEdit(
            "folder of scans", "Folder with volumes, DICOM series or pictures, at any depth.", self._pick
        )
        self.open = QLabel()
        self.open.setObjectName("muted")
        self.open.setWordWrap(True)
        self.labels = _combo(
            (NO_LABELS, TABLE, MASKS),
            "Scans with labels to learn from: the table of cases that Evaluate takes, or folders of images and masks.",
        )
        self.labelled = PathEdit(
            "table or folder", "The table, or the folder that holds both.", self._pick_labels
        )
        self.folds = _spin(
            1, MOST_FOLDS, 1, "Cut the patients into so many folds, one of which is for validation only."
        )
        self.folds.setSpecialValueText(TENTH)
        self.fold = _spin(1, 1, 1, "Which fold is for validation only: nothing is learned from its patients.")
        self.form = form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Synthetic data", self.phantoms)
        form.addRow("Scans", self.scans)
        form.addRow("", self.folder)
        form.addRow("", self.open)
        form.addRow("Labelled scans", self.labels)
        form.addRow("", self.labelled)
        form.addRow("Folds", self.folds)
        form.addRow("Held-out fold", self.fold)
        for chosen in (self.scans, self.labels):
            chosen.currentIndexChanged.connect(self.refresh)
        self.folds.valueChanged.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the choice and the layers of the viewer."""
        names = [scan.name for scan in self._usable()]
        self.open.setText(", ".join(names) or "There is no open scan that can be used.")
        show_row(self.form, self.folder, self.scans.currentText() == FOLDER)
        show_row(self.form, self.open, self.scans.currentText() == OPEN)
        labelled = self.labels.currentText() != NO_LABELS
        self.fold.setMaximum(self.folds.value())
        show_row(self.form, self.labelled, labelled)
        show_row(self.form, self.folds, labelled)
        show_row(self.form, self.fold, labelled and self.folds.value() > 1)

    def chosen(self) -> Path | tuple[LayerScan, ...] | None:
        """The scans to learn from; SettingsError if something is missing."""
        kind = self.scans.currentText()
        if kind == FOLDER:
            if self.folder.path() is None:
                raise SettingsError("Choose the folder of scans to learn from.")
            return self.folder.path()
        if kind == OPEN:
            if not (scans := self._usable()):
                raise SettingsError("Open the scans to learn from first, or choose a folder of them.")
            return tuple(LayerScan.of(scan) for scan in scans)
        if not self.phantoms.isChecked() and self.labels.currentText() == NO_LABELS:
            raise SettingsError("Choose something to learn from: phantoms, scans, or labelled scans.")
        return None

    def chosen_labels(self) -> Path | None:
        """The labelled scans to learn from; SettingsError if something is missing."""
        kind = self.labels.currentText()
        if kind == NO_LABELS:
            return None
        if self.labelled.path() is None:
            what = "table of cases" if kind == TABLE else "folder with images and masks"
            raise SettingsError(f"Choose the {what} to learn from.")
        return self.labelled.path()

    def chosen_fold(self) -> tuple[int, int] | None:
        """Which fold of the patients is for validation only, and of how many."""
        folds = self.folds.value()
        return (self.fold.value(), folds) if self.labels.currentText() != NO_LABELS and folds > 1 else None

    def words(self) -> str:
        """The choice in a few words."""
        scans = {NO_SCANS: "", FOLDER: "scans of a folder", OPEN: "open scans"}[self.scans.currentText()]
        labels = "" if self.labels.currentText() == NO_LABELS else "labelled scans"
        if fold := self.chosen_fold():
            labels += f" without fold {fold[0]} of {fold[1]}"
        return " and ".join(part for part in ("phantoms" * self.phantoms.isChecked(), scans, labels) if part)

    def _usable(self) -> list:
        return [scan for scan in self.session.scans() if not refusal(scan)]

    def _pick(self) -> str:
        return QFileDialog.getExistingDirectory(self, "Choose the folder of scans")

    def _pick_labels(self) -> str:
        if self.labels.currentText() == MASKS:
            return QFileDialog.getExistingDirectory(self, "Choose the folder with images and masks")
        tables = "Tables (*.csv *.yaml *.yml)"
        return QFileDialog.getOpenFileName(self, "Choose the table of cases", "", tables)[0]


class TrainingBox(QWidget):
    """Folder, weights to begin with and length of a run; `found` carries the run that a chosen folder holds."""

    found = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.out = PathEdit(
            "folder",
            "Weights, log and checkpoint go there. A run that is there already is gone on with.",
            self._pick_folder,
        )
        self.holds = QLabel()
        self.holds.setObjectName("muted")
        self.holds.setWordWrap(True)
        self.start = _combo(
            (BUNDLED_WORDS, RANDOM, FILE),
            "Weights to begin with; they are changed gently (learning rate 0.0001).\n"
            "A network that begins with random ones needs hours to learn anything.",
        )
        self.file = PathEdit("weights", "Weights of an earlier run (.safetensors).", self._pick_weights)
        self.encoder = choice_of(CPCLNetSettings, "encoder")
        self.steps = number_of(TrainingSettings, "steps", value=STEPS)
        self.every = number_of(TrainingSettings, "validate_every", value=VALIDATE_EVERY)
        self.form = form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Folder", self.out)
        form.addRow(self.holds)
        form.addRow("Initial weights", self.start)
        form.addRow("", self.file)
        add_row(form, CPCLNetSettings, "encoder", self.encoder)
        add_row(form, TrainingSettings, "steps", self.steps)
        add_row(form, TrainingSettings, "validate_every", self.every)
        self.out.changed.connect(self.read_folder)
        self.start.currentIndexChanged.connect(self._show)
        self._holds_run = False
        self._show()

    def read_folder(self) -> None:
        """See whether the folder holds a run, and take over its length."""
        run: TrainingFolder | None = look_into(self.out.path())
        self._holds_run = run is not None
        if run is not None:
            self.steps.setValue(run.steps or STEPS)
            self.every.setValue(run.validate_every or VALIDATE_EVERY)
            self.holds.setText(
                f"Contains a run stopped at step {run.step}. Start resumes it; more steps may be asked for."
            )
        self._show()
        self.found.emit(run)

    @property
    def holds_run(self) -> bool:
        """Whether the chosen folder held a run when it was looked at."""
        return self._holds_run

    def job(self, sources: SourcesBox, session: Session) -> TrainingJob:
        """Freeze the choices.

        Raises
        ------
        SettingsError
            With one sentence that says what is missing.
        """
        out = self.out.path()
        if out is None:
            raise SettingsError("Choose a folder for the run: weights, log and checkpoint go there.")
        if self.start.currentText() == FILE and self.file.path() is None and not self.holds_run:
            raise SettingsError("Choose the weights file to begin with.")
        start = {BUNDLED_WORDS: BUNDLED, RANDOM: None, FILE: self.file.path()}[self.start.currentText()]
        return TrainingJob(
            out=out,
            steps=self.steps.value(),
            validate_every=self.every.value(),
            phantoms=sources.phantoms.isChecked(),
            scans=None if self.holds_run else sources.chosen(),
            labels=None if self.holds_run else sources.chosen_labels(),
            fold=None if self.holds_run else sources.chosen_fold(),
            start=start,
            encoder=self.encoder.currentData() if start is None else None,
            device=session.options.device,
            foreground=session.foreground,
        )

    def _show(self) -> None:
        show_row(self.form, self.holds, self._holds_run)
        show_row(self.form, self.start, not self._holds_run)
        random = self.start.currentText() == RANDOM
        show_row(self.form, self.encoder, random and not self._holds_run)
        show_row(self.form, self.file, not self._holds_run and self.start.currentText() == FILE)

    def _pick_folder(self) -> str:
        return QFileDialog.getExistingDirectory(self, "Choose a folder for the run")

    def _pick_weights(self) -> str:
        return QFileDialog.getOpenFileName(self, "Choose weights to begin with", "", WEIGHTS)[0]


def show_row(form: QFormLayout, field: QWidget, visible: bool) -> None:
    """Show or hide a field of a form with its label."""
    field.setVisible(visible)
    if (label := form.labelForField(field)) is not None:
        label.setVisible(visible)


def _combo(items: tuple[str, ...], tip: str) -> QComboBox:
    combo = QComboBox()
    combo.addItems(items)
    combo.setToolTip(tip)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(8)
    return combo


def _spin(lowest: int, highest: int, value: int, tip: str) -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(lowest, highest)
    spin.setValue(value)
    spin.setToolTip(tip)
    return spin
