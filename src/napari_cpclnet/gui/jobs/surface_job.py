"""Make the surfaces of the classes of a labels layer in another thread. No Qt."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cpclnet.gui.jobs.segment_job import user_message

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Geometry


@dataclass(frozen=True, eq=False)
class SurfaceJob:
    """Labels (z, y, x), their grid, and the names of the classes."""

    labels: np.ndarray
    geometry: Geometry
    names: Mapping[int, str]
    cancelled: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, eq=False)
class SurfaceMade:
    """Surface of one class: vertices (n, 3) as index positions, triangles (m, 3), brightness of the vertices (n)."""

    value: int
    name: str
    vertices: np.ndarray
    faces: np.ndarray
    light: np.ndarray


@dataclass(frozen=True)
class SurfacesFailed:
    """Why there are none."""

    message: str


def run_surfaces(job: SurfaceJob) -> Generator[Any, None, None]:
    """Report the surface of each class that is there; never raises."""
    try:
        from napari_cpclnet.imaging.surfaces import lit, smooth_surface

        for value in (int(v) for v in np.unique(job.labels) if v > 0):
            if job.cancelled.is_set():
                return
            vertices, faces = smooth_surface(job.labels == value, job.geometry.spacing)
            light = lit(vertices, faces, job.geometry)
            yield SurfaceMade(value, job.names.get(value, f"label {value}"), vertices, faces, light)
    except Exception as error:  # noqa: BLE001 - the panel must hear of everything
        yield SurfacesFailed(user_message(error))
