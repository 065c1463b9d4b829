"""Fill between painted slices: one call from a scan and a painted label map to labels of the whole scan."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import SupportError
from napari_cpclnet.imaging import BACKGROUND, Plane, Segmentation, painted_plane, painted_slices, plane_axis
from napari_cpclnet.propagation.propagate import Propagation
from napari_cpclnet.propagation.scribbles import Scribbled
from napari_cpclnet.propagation.settings import PropagationSettings

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume


def fill(
    volume: Volume,
    labels: NDArray[Any],
    *,
    slices: Iterable[int] | None = None,
    plane: Plane = "auto",
    absent: Iterable[int] = (),
    classes: dict[int, str] | None = None,
    settings: PropagationSettings | None = None,
    partial: Iterable[int] = (),
    background: int = BACKGROUND,
) -> Segmentation:
    """Labels of a whole scan from a few painted slices of it, by shapes and grey values, without a network.

    Parameters
    ----------
    volume : Volume
        The scan.
    labels : ndarray (z, y, x) of integers
        Label values on the scan's grid; slices that count as painted are complete.
    slices : iterable of int, optional
        Painted slices along the array axis of `plane`; by default every slice that was painted in that plane.
    plane : str
        "axial", "coronal", "sagittal", "native" for the first array axis, or "auto": the plane in which slices of
        `labels` were painted.
    absent : iterable of int
        Slices that show no class: they bound what lies between them.
    classes : dict of int to str, optional
        Label values and names; by default every value of `labels`.
    settings : PropagationSettings, optional
    partial : iterable of int
        Slices of which only some pixels were painted, as by scribbles; what is not painted there is unknown.
    background : int
        Label value that says on partial slices that none of the classes is there.

    Returns
    -------
    Segmentation
        On the scan's own grid; painted slices exactly as painted.

    Raises
    ------
    SupportError
        If labels lie on another grid, or nothing is painted on the slices.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_cpclnet import Geometry, Volume, fill
    >>> volume = Volume(np.zeros((5, 32, 32), np.int16), Geometry((5, 32, 32), (5.0, 4.0, 4.0)), "CT", "HU")
    >>> painted = np.zeros((5, 32, 32), np.uint8)
    >>> painted[[1, 3], 8:20, 8:20] = 1
    >>> filled = fill(volume, painted, classes={1: "liver"})
    >>> bool((filled.labels[2] == painted[1]).all())
    True
    """
    propagation = start_fill(
        volume,
        labels,
        slices=slices,
        plane=plane,
        absent=absent,
        classes=classes,
        settings=settings,
        partial=partial,
        background=background,
    )
    for _ in propagation.run():
        pass
    return propagation.result()


def start_fill(
    volume: Volume,
    labels: NDArray[Any],
    *,
    slices: Iterable[int] | None = None,
    plane: Plane = "auto",
    absent: Iterable[int] = (),
    classes: dict[int, str] | None = None,
    settings: PropagationSettings | None = None,
    partial: Iterable[int] = (),
    background: int = BACKGROUND,
) -> Propagation:
    """The same as :func:`fill`, to be run step by step: see :class:`~napari_cpclnet.propagation.Propagation`."""
    if tuple(labels.shape) != tuple(volume.array.shape):
        raise SupportError(
            f"The labels for '{volume.name}' have shape {tuple(labels.shape)}, the scan has "
            f"{tuple(volume.array.shape)}: use labels painted on this scan."
        )
    if plane == "auto":
        plane = painted_plane(labels, volume.geometry)
    axis = plane_axis(volume.geometry, plane)
    incomplete = {int(i) for i in partial}
    if classes is None:
        unnamed = {background} if incomplete else set()
        classes = {int(v): f"label {int(v)}" for v in np.unique(labels) if v > 0 and v not in unnamed}
    wanted = np.isin(labels, list(classes))
    if slices is None:
        slices = painted_slices(wanted, axis)
    by_slice = np.moveaxis(labels, axis, 0)
    indices = sorted({int(i) for i in (*slices, *absent, *incomplete)})
    if wrong := [i for i in indices if not 0 <= i < len(by_slice)]:
        raise SupportError(f"'{volume.name}' has no {plane} slice {wrong[0]}: use 0 to {len(by_slice) - 1}.")
    painted = {i: np.where(np.isin(by_slice[i], list(classes)), by_slice[i], 0) for i in indices}
    if not any(one.any() for one in painted.values()):
        there = np.flatnonzero(np.moveaxis(wanted, axis, 0).any((1, 2))).tolist()
        where = f"painted are {', '.join(map(str, there[:12]))}" if there else "paint at least one slice"
        raise SupportError(
            f"Nothing is painted on the {plane} slices of '{volume.name}' that were named: {where}."
        )
    scribbled = {
        i: Scribbled(painted[i], (painted[i] > 0) | (by_slice[i] == background)) for i in sorted(incomplete)
    }
    complete = {i: one for i, one in painted.items() if i not in incomplete}
    return Propagation(volume, complete, axis, classes, settings, scribbled)
