"""Register the support scan to the query and carry the painted labels over: the classical way without learning."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from napari_cpclnet.evaluation.baselines.annotated_slices import keep_painted, painted_scans
from napari_cpclnet.imaging import Volume
from napari_cpclnet.last_used import LastUsed
from napari_cpclnet.preprocessing import PreprocessingSettings, intensity_range, normalise
from napari_cpclnet.preprocessing.body import body_box
from napari_cpclnet.segmentation import SupportSet

_log = logging.getLogger(__name__)

GRID_MM = 6.0
"""Voxels of the registration."""
SMALLEST_GRID = 4
"""Voxels along each axis that a registration needs."""
HISTOGRAM_BINS = 32
AFFINE_SAMPLED, SPLINE_SAMPLED = 0.1, 0.04
"""Parts of the voxels that mutual information is measured on."""
SEED = 20240
STARTS_MM = (0.0, -30.0, 30.0, -60.0, 60.0, -90.0, 90.0)
"""Offsets along the body that are tried before the affine step: fields of view begin at different levels."""
KNOTS_MM = 120.0
"""Distance of the B-spline's knots."""
AFFINE_ITERATIONS, SPLINE_ITERATIONS = 150, 20
REMEMBERED_PAIRS = 4
LARGEST_STRETCH = 1.7
"""An affine map that stretches or shrinks any direction by more is no anatomy."""
LARGEST_SHIFT_MM = 30.0
"""Bound of the B-spline's displacements; below 0.4 of the knots' distance it cannot fold (Choi and Lee 2000)."""


class RegistrationPredictor:
    """Affine and coarse B-spline registration (SimpleITK, Mattes mutual information), then nearest-label transfer.

    Only painted slices are used: their labels are spread to the slices between them (:meth:`PaintedScan.spread`). Of
    several support scans the one with most painted slices is registered. A query that is the support scan itself
    needs no registration. Both scans are normalised and averaged to about 6 mm; sampling is seeded. A step that raises
    or gives an implausible map is dropped, and `note` and the log say so: without the B-spline the affine map is used,
    without the affine the bodies' centres are laid on each other. The maps of the last pairs of scans are remembered,
    since the organs of one pair are asked for one after the other: the time falls on the first of them.

    Parameters
    ----------
    preprocessing : PreprocessingSettings
        Windows and percentiles of the normalisation.

    Attributes
    ----------
    note : str
        What was dropped in the last prediction; empty if nothing.
    """

    name = "registration"

    def __init__(self, preprocessing: PreprocessingSettings) -> None:
        self.preprocessing = preprocessing
        self.note = ""
        self._remembered: LastUsed[str, tuple[sitk.Transform, str]] = LastUsed(REMEMBERED_PAIRS)

    def predict(self, support: SupportSet, query: Volume) -> NDArray[Any]:
        """Labels (z, y, x) on the query's grid."""
        scan = painted_scans(support)[0]
        labels = scan.spread(support.classes)
        if support.painted_on(query):
            self.note = ""
            if labels.shape == query.geometry.shape:
                return keep_painted(labels, support, query)
        transform = self.register(query, scan.volume)
        moved = sitk.Resample(
            scan.volume.geometry.to_sitk(labels),
            query.geometry.to_sitk(np.zeros(query.geometry.shape, np.uint8)),
            transform,
            sitk.sitkNearestNeighbor,
            0,
        )
        return keep_painted(sitk.GetArrayFromImage(moved).astype(labels.dtype), support, query)

    def register(self, fixed: Volume, moving: Volume) -> sitk.Transform:
        """Map from the world of `fixed` to the world of `moving` (x, y, z in mm); never raises, see `note`."""
        still, movable = self._coarse(fixed), self._coarse(moving)
        key = _digest(still, movable)
        if key not in self._remembered:
            self.note = ""
            self._remembered[key] = (
                self._register(still, movable, centre_alignment(fixed, moving)),
                self.note,
            )
        transform, self.note = self._remembered[key]
        return transform

    def _register(
        self, still: sitk.Image, movable: sitk.Image, start: sitk.AffineTransform
    ) -> sitk.Transform:
        if min(*still.GetSize(), *movable.GetSize()) < SMALLEST_GRID:
            return self._fall_back(
                start, "a scan is too thin to be registered; body centres were aligned instead"
            )
        try:
            affine = _affine(still, movable, start)
        except RuntimeError as error:
            return self._fall_back(
                start, f"affine step failed ({_last_line(error)}); body centres were aligned"
            )
        stretch = np.linalg.svd(np.reshape(affine.GetMatrix(), (3, 3)), compute_uv=False)
        if stretch.max() > LARGEST_STRETCH or stretch.min() < 1 / LARGEST_STRETCH:
            return self._fall_back(start, "affine step gave an implausible map; body centres were aligned")
        try:
            spline = _spline(still, movable, affine)
        except RuntimeError as error:
            return self._fall_back(affine, f"B-spline step failed ({_last_line(error)}); affine only")
        return sitk.CompositeTransform([affine, spline])  # the spline is applied first

    def _coarse(self, volume: Volume) -> sitk.Image:
        grey = normalise(volume.array, intensity_range(volume, self.preprocessing))
        image = volume.geometry.to_sitk(grey)
        factors = [max(1, round(GRID_MM / s)) for s in image.GetSpacing()]
        shrunk: sitk.Image = sitk.BinShrink(
            image, [min(f, n) for f, n in zip(factors, image.GetSize(), strict=True)]
        )
        return shrunk

    def _fall_back(self, transform: sitk.Transform, note: str) -> sitk.Transform:
        self.note = f"registration: {note}"
        _log.warning("%s", self.note)
        return transform


def centre_alignment(fixed: Volume, moving: Volume) -> sitk.AffineTransform:
    """Translation that lays the middles of the two bodies' bounding boxes on each other."""
    here, there = _body_centre(fixed), _body_centre(moving)
    start = sitk.AffineTransform(3)
    start.SetCenter(here.tolist())
    start.SetTranslation((there - here).tolist())
    return start


def _body_centre(volume: Volume) -> NDArray[np.float64]:
    """World position (x, y, z) in mm."""
    box = body_box(volume, volume.geometry.spacing)
    middle = [(low + high) / 2 for low, high in box]
    return np.array(volume.geometry.index_to_world([middle])[0, ::-1])


def _method(sampled: float) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(HISTOGRAM_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(sampled, SEED)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _affine(fixed: sitk.Image, moving: sitk.Image, start: sitk.AffineTransform) -> sitk.AffineTransform:
    best = _best_start(fixed, moving, start)
    method = _method(AFFINE_SAMPLED)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0, minStep=1e-3, numberOfIterations=AFFINE_ITERATIONS, relaxationFactor=0.6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([1.0, 0.0])
    method.SetInitialTransform(best, True)
    method.Execute(fixed, moving)
    return best


def _best_start(fixed: sitk.Image, moving: sitk.Image, start: sitk.AffineTransform) -> sitk.AffineTransform:
    """Of the offsets along the body the one with most mutual information."""
    found: list[tuple[float, sitk.AffineTransform]] = []
    problem: RuntimeError | None = None
    for offset in STARTS_MM:
        moved = sitk.AffineTransform(start)
        x, y, z = start.GetTranslation()
        moved.SetTranslation((x, y, z + offset))
        method = _method(AFFINE_SAMPLED)
        method.SetInitialTransform(moved)
        try:
            found.append((float(method.MetricEvaluate(fixed, moving)), moved))
        except RuntimeError as error:  # the scans do not overlap from here
            problem = error
    if not found:
        raise problem or RuntimeError("no start")
    return min(found, key=lambda pair: pair[0])[1]


def _spline(fixed: sitk.Image, moving: sitk.Image, affine: sitk.AffineTransform) -> sitk.BSplineTransform:
    extent = [n * s for n, s in zip(fixed.GetSize(), fixed.GetSpacing(), strict=True)]
    mesh = [max(1, round(length / KNOTS_MM)) for length in extent]
    spline: sitk.BSplineTransform = sitk.BSplineTransformInitializer(fixed, mesh, 3)
    method = _method(SPLINE_SAMPLED)
    method.SetMovingInitialTransform(affine)
    method.SetInitialTransform(spline, True)
    method.SetOptimizerAsLBFGSB(
        gradientConvergenceTolerance=1e-5,
        numberOfIterations=SPLINE_ITERATIONS,
        maximumNumberOfFunctionEvaluations=2 * SPLINE_ITERATIONS,
        lowerBound=-LARGEST_SHIFT_MM,
        upperBound=LARGEST_SHIFT_MM,
    )
    method.Execute(fixed, moving)
    return spline


def _digest(*images: sitk.Image) -> str:
    digest = hashlib.sha256()
    for image in images:
        digest.update(repr((image.GetOrigin(), image.GetSpacing(), image.GetDirection())).encode())
        digest.update(sitk.GetArrayViewFromImage(image).tobytes())
    return digest.hexdigest()


def _last_line(error: RuntimeError) -> str:
    """The sentence at the end of ITK's several lines."""
    return str(error).strip().splitlines()[-1].strip()[:200]
