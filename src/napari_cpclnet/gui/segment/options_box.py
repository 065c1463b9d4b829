"""Options most users never touch: plane, device, weights, post-processing."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QSizePolicy,
    QSpinBox,
    QWidget,
)
from superqt import QCollapsible

from napari_cpclnet.gui.settings.options import (
    DEVICES,
    NO_POST_PROCESSING,
    PLANES,
    PRECISIONS,
    SEARCHES,
    Options,
    PostProcessing,
)
from napari_cpclnet.gui.widgets.path_edit import WEIGHTS, PathEdit
from napari_cpclnet.gui.widgets.style import SPACING

RECOMMENDED, NONE, CUSTOM = "Recommended", "None", "Choose…"


class OptionsBox(QCollapsible):
    """Collapsed by default; `changed` carries the new `Options`."""

    changed = Signal(object)

    def __init__(self) -> None:
        super().__init__("Options", expandedIcon="▾", collapsedIcon="▸")
        self.setDuration(0)  # an animation would only delay
        self.toggleButton().setToolTip("Plane, device, weights and post-processing of the run.")
        content = QWidget()
        form = QFormLayout(content)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.plane = _combo(PLANES, "Plane of the slices you paint and of the slices that are labelled.")
        self.device = _combo(DEVICES, "Where the network computes. Automatic takes a GPU if there is one.")
        self.precision = _combo(
            PRECISIONS,
            "Number format of the network's large products. Automatic takes 16 bits on a GPU that computes in them.",
        )
        self.weights = PathEdit(
            "bundled", "Weights of the network (.safetensors); empty: those that come with it.", self._pick
        )
        self.post = _combo(
            {name: name for name in (RECOMMENDED, NONE, CUSTOM)},
            "What is done to a finished label map. Recommended is what our benchmark found to help.",
        )
        self.search = _combo(
            SEARCHES,
            "Thorough: scans are also registered with the support's scans, and whatever you painted is carried over\n"
            "(some 30 s a scan). Quick: only what the network recognises, organs above all.",
        )
        form.addRow("Search", self.search)
        form.addRow("Plane", self.plane)
        form.addRow("Device", self.device)
        form.addRow("Precision", self.precision)
        self.adapt = QSpinBox()
        self.adapt.setRange(0, 1000)
        self.adapt.setSingleStep(10)
        self.adapt.setSuffix(" steps")
        self.adapt.setSpecialValueText("off")
        self.adapt.setToolTip(
            "Train the network on the painted slices first; some 0.3 s a step on a CPU, 20 to 50 are plenty.\n"
            "Helps between CT scans; harms between MR scans and across modalities."
        )
        form.addRow("Weights", self.weights)
        form.addRow("Fine-tune on support", self.adapt)
        form.addRow("Post-processing", self.post)
        self._custom = QWidget()
        self._fill_custom()
        form.addRow(self._custom)
        self._custom.hide()
        self._band = PostProcessing.refine_band_mm  # no widget: as a project has it
        self.setContent(content)
        content.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.layout().setContentsMargins(0, 0, 0, 0)
        self.layout().setSpacing(SPACING)
        self.collapse(animate=False)
        for combo in (self.search, self.plane, self.device, self.precision, self.post):
            combo.currentIndexChanged.connect(self._on_change)
        self.weights.changed.connect(self._on_change)
        self.adapt.valueChanged.connect(self._on_change)

    def options(self) -> Options:
        """Options as they are set now."""
        post = {
            RECOMMENDED: None,
            NONE: NO_POST_PROCESSING,
            CUSTOM: PostProcessing(
                largest_component=self.largest.isChecked(),
                fill_holes=self.holes.isChecked(),
                minimum_ml=self.minimum.value(),
                closing_mm=self.closing.value(),
                refine=self.refine.isChecked(),
                refine_band_mm=self._band,
            ),
        }[self.post.currentData()]
        return Options(
            plane=self.plane.currentData(),
            device=self.device.currentData(),
            precision=self.precision.currentData(),
            postprocessing=post,
            weights=self.weights.path(),
            adapt=self.adapt.value(),
            align=self.search.currentData() == "thorough",
        )

    def set_options(self, options: Options) -> None:
        """Show options as if they were chosen."""
        post = options.postprocessing
        kind = RECOMMENDED if post is None else NONE if post == NO_POST_PROCESSING else CUSTOM
        with QSignalBlocker(self):
            for combo, value in (
                (self.search, "thorough" if options.align else "quick"),
                (self.plane, options.plane),
                (self.device, options.device),
                (self.precision, options.precision),
                (self.post, kind),
            ):
                combo.setCurrentIndex(max(combo.findData(value), 0))
            self.weights.set_path(options.weights)
            self.adapt.setValue(options.adapt)
            if post is not None:
                self.largest.setChecked(post.largest_component)
                self.holes.setChecked(post.fill_holes)
                self.minimum.setValue(post.minimum_ml)
                self.closing.setValue(post.closing_mm)
                self.refine.setChecked(post.refine)
                self._band = post.refine_band_mm
        self._on_change()

    def _pick(self) -> str:
        return QFileDialog.getOpenFileName(self, "Choose weights", "", WEIGHTS)[0]

    def _fill_custom(self) -> None:
        form = QFormLayout(self._custom)
        form.setContentsMargins(0, 0, 0, 0)
        self.largest = _box("Largest piece only", "Keep only the largest connected piece of each class.")
        self.holes = _box("Fill holes", "Fill holes that a class encloses.")
        self.refine = _box("Follow edges", "Move borders to the edges of the image (random walker); slow.")
        self.minimum = _number(" ml", 1000.0, "Remove pieces smaller than this.")
        self.closing = _number(" mm", 20.0, "Close gaps and clefts up to twice this width.")
        for box in (self.largest, self.holes, self.refine):
            form.addRow(box)
            box.toggled.connect(self._on_change)
        form.addRow("Min. component size", self.minimum)
        form.addRow("Close gaps", self.closing)
        for number in (self.minimum, self.closing):
            number.valueChanged.connect(self._on_change)

    def _on_change(self) -> None:
        custom = self.post.currentData() == CUSTOM
        if custom != self._custom.isVisibleTo(self):
            self._custom.setVisible(custom)
            self.expand(animate=False)  # the section measures its height only when it opens
        self.changed.emit(self.options())


def _combo(items: dict[str, str], tip: str) -> QComboBox:
    combo = QComboBox()
    combo.setToolTip(tip)
    for key, text in items.items():
        combo.addItem(text, key)
    return combo


def _box(text: str, tip: str) -> QCheckBox:
    box = QCheckBox(text)
    box.setToolTip(tip)
    return box


def _number(unit: str, highest: float, tip: str) -> QDoubleSpinBox:
    number = QDoubleSpinBox()
    number.setRange(0.0, highest)
    number.setDecimals(1)
    number.setSuffix(unit)
    number.setSpecialValueText("off")
    number.setToolTip(tip)
    return number
