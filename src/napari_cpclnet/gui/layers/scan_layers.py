"""Conversion between scans and napari layers that keeps their place in the patient.

Every layer we make carries its true geometry in ``layer.metadata[KEY]``; a scan that napari cannot slice
obliquely is shown in its index axes and still saved where it belongs. Layers of other plugins have no such
note: their geometry comes from what napari shows.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_cpclnet.errors import GeometryError, ImageError
from napari_cpclnet.files.scratch import finished, settling
from napari_cpclnet.gui.layers.foreign import place_is_unknown, true_geometry
from napari_cpclnet.gui.settings.display_presets import presets
from napari_cpclnet.imaging import (
    Geometry,
    ScanRef,
    Segmentation,
    Volume,
    detect_modality,
    dicom,
    plane_axis,
    reading_volume,
)
from napari_cpclnet.imaging.modality import values_note

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Layer

    from napari_cpclnet.imaging import Geometry, Modality, Plane, ScanRef, Segmentation, Volume

LayerData = tuple[Any, dict[str, Any], str]

KEY = "napari_cpclnet"
AXES = ("z", "y", "x")

# Arrays in temporary files, by the identity of the array of dask that they were made of: napari, too, keeps its chunks.
_computed: dict[int, np.ndarray] = {}


def note(layer: Layer) -> dict[str, Any]:
    """What we wrote down about a layer (geometry, modality, unit, classes, ...); empty for foreign layers."""
    found = layer.metadata.get(KEY)
    return found if isinstance(found, dict) else {}


def copied_transform(layer: Layer) -> dict[str, Any]:
    """Keyword arguments that put a new layer exactly where ``layer`` is."""
    return {
        "scale": layer.scale,
        "translate": layer.translate,
        "rotate": layer.rotate,
        "shear": layer.shear,
        "affine": layer.affine.affine_matrix,
        "units": layer.units,
        "axis_labels": layer.axis_labels,
    }


def volume_to_layer(volume: Volume) -> LayerData:
    """Layer data tuple of an image layer that shows a volume in its usual display window.

    The name of a PET layer says its unit, as SUV and activity look alike.
    """
    preset = presets()
    unit = f" ({volume.unit})" if volume.modality == "PT" and volume.unit else ""
    kwargs = {
        "name": volume.name + unit,
        "contrast_limits": preset.limits(volume.array, volume.unit),
        "colormap": preset.colormap(volume.modality),
        "metadata": {KEY: volume_note(volume)},
        **_shown(volume.geometry, volume.calibrated),
    }
    return volume.array, kwargs, "image"


def segmentation_to_layer(segmentation: Segmentation, *, calibrated: bool = True) -> LayerData:
    """Layer data tuple of a labels layer whose class names appear in napari's status bar."""
    kwargs = {
        "name": segmentation.name,
        "metadata": {KEY: {"geometry": segmentation.geometry, "classes": dict(segmentation.classes)}},
        "features": class_features(segmentation.classes),
        **_shown(segmentation.geometry, calibrated),
    }
    if segmentation.colors:
        kwargs["colormap"] = label_colormap(segmentation.colors)
    return segmentation.labels, kwargs, "labels"


def class_features(classes: dict[int, str]) -> dict[str, list[Any]]:
    """Features table that makes napari show the class under the pointer."""
    values = sorted(classes)
    return {"index": [0, *values], "class": ["background", *(classes[value] for value in values)]}


def label_colormap(colors: dict[int, tuple[int, int, int]]) -> Any:
    """Colormap of a labels layer: these colours (0 to 255), and napari's own for other values up to 255."""
    from napari.utils.colormaps import DirectLabelColormap
    from napari.utils.colormaps import label_colormap as usual_colormap

    usual = usual_colormap()
    table: dict[int | None, Any] = {value: usual.map(value) for value in range(256)}
    table |= {value: np.array([*color, 255]) / 255 for value, color in colors.items()}
    return DirectLabelColormap(color_dict={**table, None: usual.map(1)})


def volume_note(volume: Volume) -> dict[str, Any]:
    """Everything of a volume but its array, as kept in the metadata of its layer."""
    return {
        "geometry": volume.geometry,
        "modality": volume.modality,
        "unit": volume.unit,
        "source": volume.source,
        "series": volume.series,
        "calibrated": volume.calibrated,
        "notes": volume.notes,
    }


def refusal(layer: Layer) -> str:
    """One sentence why an image layer cannot be used as a scan; empty if it can."""
    if layer.multiscale:
        return f"'{layer.name}' is a multiscale image: open one resolution level of it as its own layer."
    if getattr(layer, "rgb", False):
        return f"'{layer.name}' is a colour image: split or convert it to one grey channel first."
    if layer.ndim not in (2, 3):
        return f"'{layer.name}' has {layer.ndim} dimensions: choose one 3-D phase or channel of it."
    matrix = _matrix(layer)
    if _is_sheared(matrix):
        return f"'{layer.name}' is sheared: no file can hold its grid, so resample it to one with right angles first."
    if "geometry" not in note(layer) and place_is_unknown(layer, matrix):
        return (
            f"'{layer.name}' is shown elsewhere than its metadata place it: open its file with the reader of "
            "napari-cpclnet."
        )
    return ""


def geometry_of(layer: Layer) -> Geometry:
    """Grid of a 2-D or 3-D layer in the patient: its note if it is still true, else what napari shows.

    A 2-D image counts as one slice. A user who moves or scales a layer by hand knows something newer than our
    note.
    """
    noted = note(layer).get("geometry")
    if noted is not None and noted.shape == _shape3(layer):
        shown = note(layer).get("shown")
        if _shows(layer, noted) or (shown is not None and np.allclose(shown, _matrix(layer), atol=1e-6)):
            return noted
    return true_geometry(layer, _matrix(layer)) or _displayed_geometry(layer)


def grid_note(scan: Layer) -> dict[str, Any]:
    """Note for a layer that lies on the voxels of a scan, wherever napari shows them both."""
    return {"geometry": geometry_of(scan), "calibrated": is_calibrated(scan), "shown": _matrix(scan).tolist()}


def is_calibrated(layer: Layer) -> bool:
    """Whether the layer's scale means millimetres; napari's default scale of one pixel does not."""
    if "calibrated" in note(layer) and not _has_scale(layer):
        return bool(note(layer)["calibrated"])
    return _has_scale(layer) or any(str(unit) != "pixel" for unit in layer.units)


def same_grid(first: Layer, second: Layer) -> bool:
    """Whether two layers have the same voxels in the same place on screen."""
    if first.ndim != second.ndim or tuple(first.data.shape) != tuple(second.data.shape):
        return False
    one, other = _matrix(first), _matrix(second)
    corners = _corners(_shape3(first))
    moved = (np.linalg.inv(one) @ other @ corners.T).T
    return bool(np.abs(moved - corners).max() <= 1e-3)


def slice_axis(geometry: Geometry, plane: str) -> int:
    """Array axis that is sliced in a plane, a key of `PLANES`; for ``auto`` that of a scan nobody painted on."""
    return plane_axis(geometry, cast("Plane", plane))


@dataclass(frozen=True)
class LayerScan:
    """What is needed of an image layer to make a volume of it later, in another thread."""

    data: Any
    geometry: Geometry
    name: str
    calibrated: bool
    noted: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, layer: Image) -> LayerScan:
        """Take the layer's data by reference and the rest by value."""
        if reason := refusal(layer):
            raise ImageError(reason)
        return cls(layer.data, geometry_of(layer), layer.name, is_calibrated(layer), dict(note(layer)))

    @property
    def series(self) -> ScanRef | None:
        """The DICOM series it was opened from, or None."""
        source = self.noted.get("source")
        return (
            ScanRef(Path(source), None, self.name) if source and dicom.is_dicom_path(Path(source)) else None
        )

    @property
    def source(self) -> tuple[Path, str | None] | None:
        """File or folder it was read from, and which series or phase of it; None if that is not there (any more)."""
        source = self.noted.get("source")
        return (Path(source), self.noted.get("series")) if source and Path(source).exists() else None

    def meaning(self) -> tuple[Modality, str]:
        """Modality and unit; where nobody noted them they are found out from the values, which are read for it."""
        if (modality := self.noted.get("modality")) is not None:
            return modality, self.noted.get("unit", "")
        if isinstance(self.data, np.ndarray):
            return detect_modality(self.data)
        volume = self.volume()
        return volume.modality, volume.unit

    def volume(self) -> Volume:
        """Read it, as `reading` does."""
        return finished(self.reading())

    def reading(self) -> Generator[float, None, Volume]:
        """Read the values, wherever they lie, and find out the modality where nobody noted it; reports the share done.

        What is not in memory and too large for it comes to lie in a temporary file; what dask computed there stays as
        long as the layer does, and is not computed again.
        """
        array = _computed.get(id(self.data))
        if array is None:
            kept = np.uint8 if self.data.dtype == bool else self.data.dtype
            array = yield from settling(self.data, f"'{self.name}'", self._usable, kept)
            if hasattr(self.data, "dask") and isinstance(array.base, np.memmap):
                _computed[id(self.data)] = array
                weakref.finalize(self.data, _computed.pop, id(self.data), None)
        array = array.reshape(self.geometry.shape)
        notes = tuple(self.noted.get("notes", ()))
        modality, unit = self.noted.get("modality"), self.noted.get("unit", "")
        if modality is None:
            modality, unit = detect_modality(array)
            notes = (*notes, values_note(modality))
        return Volume(
            array,
            self.geometry,
            modality=modality,
            unit=unit,
            name=self.name,
            source=self.noted.get("source"),
            calibrated=self.calibrated,
            notes=notes,
            series=self.noted.get("series"),
        )

    def _usable(self, part: np.ndarray) -> np.ndarray:
        """Values of a type we work with, if all are numbers."""
        if part.dtype == bool:
            return part.view(np.uint8)
        # lowest and highest carry NaN and infinity along, without a temporary of the size of the scan
        if part.dtype.kind == "f" and not np.isfinite([part.min(initial=0), part.max(initial=0)]).all():
            raise ImageError(f"'{self.name}' contains NaN or infinite values: replace them first.")
        return part


def labels_array(layer: Labels) -> np.ndarray:
    """Labels (z, y, x) of a labels layer as they are now; not a copy."""
    if layer.multiscale or layer.ndim not in (2, 3):
        raise ImageError(f"'{layer.name}' must be a plain 2-D or 3-D labels layer.")
    return np.asarray(layer.data).reshape(_shape3(layer))


def segmentation_of(layer: Labels) -> Segmentation:
    """Label map of a labels layer on its true geometry, with the class names and terms noted on it and its colours."""
    labels = labels_array(layer)
    if labels.dtype.kind != "u":
        lowest, highest = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
        if lowest < 0:
            raise ImageError(f"'{layer.name}' has negative label values ({lowest}): use positive ones.")
        labels = labels.astype(np.min_scalar_type(highest))
    classes = dict(note(layer).get("classes", {}))
    values = {*classes, *(int(value) for value in np.unique(labels))} - {0}
    colors = {}
    for value in sorted(values):
        red, green, blue = (round(255 * float(part)) for part in layer.colormap.map(value)[:3])
        colors[value] = (red, green, blue)
    terms = dict(note(layer).get("terms", {}))
    return Segmentation(labels, classes, geometry_of(layer), layer.name, colors, terms=terms)


def _shown(geometry: Geometry, calibrated: bool) -> dict[str, Any]:
    units = ("mm",) * 3 if calibrated else ("pixel",) * 3
    return {**geometry.napari_transform(), "units": units, "axis_labels": AXES}


def _shape3(layer: Layer) -> tuple[int, int, int]:
    shape = tuple(int(n) for n in layer.data.shape)
    return (1,) * (3 - len(shape)) + shape  # type: ignore[return-value]


def _matrix(layer: Layer) -> np.ndarray:
    """(4, 4) matrix from index to what napari calls world; the missing axis of a 2-D layer has length 1."""
    n = layer.ndim
    origin = np.asarray(layer.data_to_world(np.zeros(n)), dtype=float)
    matrix = np.eye(4)
    for axis, unit in enumerate(np.eye(n)):
        matrix[3 - n : 3, 3 - n + axis] = np.asarray(layer.data_to_world(unit), dtype=float) - origin
    matrix[3 - n : 3, 3] = origin
    return matrix


def _shows(layer: Layer, geometry: Geometry) -> bool:
    """Whether the layer stands where a layer of ``geometry`` is put."""
    transform = geometry.napari_transform()
    expected = np.eye(4)
    expected[:3, :3] = np.diag(transform["scale"])
    expected[:3, 3] = transform["translate"]
    expected = np.asarray(transform.get("affine", np.eye(4))) @ expected
    actual = _matrix(layer)
    if layer.ndim == 2:  # nothing is known about the axis that is not there
        expected[0], expected[:, 0] = actual[0], actual[:, 0]
    corners = _corners(geometry.shape)
    moved = (actual @ corners.T - expected @ corners.T).T
    return bool(np.abs(moved).max() <= 1e-3 * min(geometry.spacing))


def _displayed_geometry(layer: Layer) -> Geometry:
    if layer.ndim not in (2, 3):
        raise GeometryError(f"'{layer.name}' has {layer.ndim} dimensions, a scan has two or three.")
    matrix = _matrix(layer)
    matrix[:3] *= _millimetres(layer)[:, None]
    if _is_sheared(matrix):
        raise GeometryError(f"'{layer.name}' is sheared: no file can hold its grid.")
    return Geometry.from_affine(_shape3(layer), matrix)


def _is_sheared(matrix: np.ndarray) -> bool:
    direction = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    return bool(np.abs(direction.T @ direction - np.eye(3)).max() > 1e-3)


def _millimetres(layer: Layer) -> np.ndarray:
    """Millimetres per unit of each world axis; pixels count as millimetres."""
    factors = np.ones(3)
    for axis, unit in enumerate(layer.units):
        if unit.is_compatible_with("mm"):
            factors[3 - layer.ndim + axis] = (1 * unit).to("mm").magnitude
    return factors


def _has_scale(layer: Layer) -> bool:
    return not np.allclose(layer.scale, 1.0)


def _corners(shape: tuple[int, ...]) -> np.ndarray:
    corners = itertools.product(*((0, max(n - 1, 1)) for n in shape))
    return np.array([(*corner, 1.0) for corner in corners], dtype=float)


@dataclass(frozen=True)
class FileScan:
    """A scan in a file or folder, read when its turn comes; ``meaning``: modality and unit, if the user said them."""

    ref: ScanRef
    meaning: tuple[Modality, str] | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """Shown to the user."""
        return self.ref.name

    @property
    def series(self) -> ScanRef | None:
        """The DICOM series it is, or None."""
        return self.ref if self.ref.series is not None or dicom.is_dicom_path(self.ref.path) else None

    def volume(self) -> Volume:
        """Read it."""
        return finished(self.reading())

    def reading(self) -> Generator[float, None, Volume]:
        """Read it; reports the share that is done while a large one is read part by part."""
        volume = yield from reading_volume(self.ref.path, series=self.ref.series)
        if self.meaning is None:
            return volume
        return volume.replaced(modality=self.meaning[0], unit=self.meaning[1])
