"""Options most users never touch: plane, device, weights, cluster, post-processing."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QFileDialog, QFormLayout, QLineEdit, QSizePolicy, QWidget
from superqt import QCollapsible

from napari_cpclnet.gui.widgets.path_edit import WEIGHTS, PathEdit
from napari_cpclnet.gui.widgets.setting_widgets import add_row, choice_of, combo, number_of, tick_of
from napari_cpclnet.gui.widgets.style import SPACING
from napari_cpclnet.segmentation.settings import PostprocessingSettings, RunSettings
from napari_cpclnet.settings_fields import field_of

RECOMMENDED, NONE, CUSTOM = "Recommended", "None", "Choose…"
NO_POST_PROCESSING = PostprocessingSettings(largest_component=False)


class OptionsBox(QCollapsible):
    """Collapsed by default; `changed` carries the new `RunSettings`."""

    changed = Signal(object)

    def __init__(self) -> None:
        super().__init__("Options", expandedIcon="▾", collapsedIcon="▸")
        self.setDuration(0)  # an animation would only delay
        self.toggleButton().setToolTip("Plane, device, weights, cluster and post-processing of the run.")
        content = QWidget()
        form = QFormLayout(content)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.search = choice_of(RunSettings, "align")
        self.plane = choice_of(RunSettings, "plane")
        self.device = choice_of(RunSettings, "device")
        self.precision = choice_of(RunSettings, "precision")
        self.weights = PathEdit("bundled", field_of(RunSettings, "weights").description, self._pick)
        self.adapt = number_of(RunSettings, "adapt", suffix=" steps")
        self.adapt.setSingleStep(10)
        self.adapt.setSpecialValueText("off")
        self.scheduler = QLineEdit()
        self.scheduler.setPlaceholderText("this process")
        self.scheduler.setToolTip(field_of(RunSettings, "scheduler").description)
        for name, widget in (
            ("align", self.search),
            ("plane", self.plane),
            ("device", self.device),
            ("precision", self.precision),
            ("weights", self.weights),
            ("adapt", self.adapt),
            ("scheduler", self.scheduler),
        ):
            add_row(form, RunSettings, name, widget)
        self.post = combo(
            ((name, name) for name in (RECOMMENDED, NONE, CUSTOM)),
            "What is done to a finished label map. Recommended is what our benchmark found to help.",
        )
        form.addRow("Post-processing", self.post)
        self._custom = QWidget()
        self._fill_custom()
        form.addRow(self._custom)
        self._custom.hide()
        self._shown = RunSettings()  # with settings that have no widget: as a project has them
        self.setContent(content)
        content.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.layout().setContentsMargins(0, 0, 0, 0)
        self.layout().setSpacing(SPACING)
        self.collapse(animate=False)
        for box in (self.search, self.plane, self.device, self.precision, self.post):
            box.currentIndexChanged.connect(self._on_change)
        self.weights.changed.connect(self._on_change)
        self.adapt.valueChanged.connect(self._on_change)
        self.scheduler.textChanged.connect(self._on_change)

    def options(self) -> RunSettings:
        """Options as they are set now."""
        post = {
            RECOMMENDED: PostprocessingSettings(),
            NONE: NO_POST_PROCESSING,
            CUSTOM: self._shown.postprocessing.model_copy(
                update={
                    "largest_component": self.largest.isChecked(),
                    "fill_holes": self.holes.isChecked(),
                    "minimum_ml": self.minimum.value(),
                    "closing_mm": self.closing.value(),
                    "refine": self.refine.isChecked(),
                }
            ),
        }[self.post.currentData()]
        return self._shown.model_copy(
            update={
                "plane": self.plane.currentData(),
                "device": self.device.currentData(),
                "precision": self.precision.currentData(),
                "postprocessing": post,
                "weights": self.weights.path(),
                "adapt": self.adapt.value(),
                "scheduler": self.scheduler.text().strip() or None,
                "align": self.search.currentData() == "thorough",
            }
        )

    def set_options(self, options: RunSettings) -> None:
        """Show options as if they were chosen."""
        self._shown, post = options, options.postprocessing
        known = {PostprocessingSettings(): RECOMMENDED, NO_POST_PROCESSING: NONE}
        with QSignalBlocker(self):
            for box, value in (
                (self.search, "thorough" if options.align else "quick"),
                (self.plane, options.plane),
                (self.device, options.device),
                (self.precision, options.precision),
                (self.post, known.get(post, CUSTOM)),
            ):
                box.setCurrentIndex(max(box.findData(value), 0))
            self.weights.set_path(options.weights)
            self.adapt.setValue(options.adapt)
            self.scheduler.setText(options.scheduler or "")
            if post not in known:
                self.largest.setChecked(post.largest_component)
                self.holes.setChecked(post.fill_holes)
                self.minimum.setValue(post.minimum_ml)
                self.closing.setValue(post.closing_mm)
                self.refine.setChecked(post.refine)
        self._on_change()

    def _pick(self) -> str:
        return QFileDialog.getOpenFileName(self, "Choose weights", "", WEIGHTS)[0]

    def _fill_custom(self) -> None:
        form = QFormLayout(self._custom)
        form.setContentsMargins(0, 0, 0, 0)
        self.largest = tick_of(PostprocessingSettings, "largest_component")
        self.holes = tick_of(PostprocessingSettings, "fill_holes")
        self.refine = tick_of(PostprocessingSettings, "refine")
        self.minimum = number_of(PostprocessingSettings, "minimum_ml", suffix=" ml")
        self.closing = number_of(PostprocessingSettings, "closing_mm", suffix=" mm")
        for box in (self.largest, self.holes, self.refine):
            box.setChecked(False)  # what is wanted is chosen one by one
            form.addRow(box)
            box.toggled.connect(self._on_change)
        for name, number in (("minimum_ml", self.minimum), ("closing_mm", self.closing)):
            number.setDecimals(1)
            number.setSpecialValueText("off")
            add_row(form, PostprocessingSettings, name, number)
            number.valueChanged.connect(self._on_change)

    def _on_change(self) -> None:
        custom = self.post.currentData() == CUSTOM
        if custom != self._custom.isVisibleTo(self):
            self._custom.setVisible(custom)
            self.expand(animate=False)  # the section measures its height only when it opens
        self.changed.emit(self.options())
