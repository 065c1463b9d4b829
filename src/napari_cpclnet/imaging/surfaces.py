"""Smooth surfaces of masks, to be looked at in 3-D."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cpclnet.imaging.geometry import Geometry

Mask = NDArray[np.bool_]

MOST_VOXELS = 400_000
"""Of the grid on which a surface is sought: 70 a side show every fold of an organ, and take a tenth of a second."""

# Standard deviation of the smoothing: across slices in slices, where steps are seen, and in mm at most along them.
_SIGMA_SLICES, _SIGMA_MM = 1.0, 3.0
_HIGHEST = 0.6

# Where light comes from (superior, posterior, left), and how bright it is.
_LIGHTS = (np.array([0.5, -0.8, 0.35]), np.array([0.1, 0.9, -0.4]))
_AMBIENT, _FRONT, _BEHIND = 0.35, 0.65, 0.4


def smooth_surface(
    mask: Mask, spacing: tuple[float, float, float], most_voxels: int = MOST_VOXELS
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Closed surface of a mask without the steps of its voxels.

    The mask is smoothed by a Gaussian and brought to a grid of about cubic voxels; its surface is that of the level
    which encloses the volume of the mask. It is for the eye: volumes and lengths are measured on the voxels.

    Parameters
    ----------
    mask : ndarray (z, y, x) of bool
        A class; may be empty.
    spacing : tuple of 3 float
        Of the voxels, in mm.
    most_voxels : int
        Size of the grid; a large class is shown in less detail.

    Returns
    -------
    vertices : ndarray (n, 3)
        Index positions (z, y, x) in the mask.
    faces : ndarray (m, 3)
        Vertices of each triangle; none if the mask is empty.
    """
    from skimage.measure import marching_cubes

    boxes = ndimage.find_objects(mask.view(np.uint8))
    if not boxes:
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)
    part = mask[boxes[0]]
    size = np.array(part.shape) * spacing
    edge = max(float(np.prod(size) / most_voxels) ** (1 / 3), min(spacing))
    step = np.minimum(
        np.maximum(edge / np.array(spacing), 0.25), np.array(part.shape)
    )  # in voxels of the mask
    margin = 3  # voxels of the new grid around it, so that the surface is closed
    shape = np.ceil(np.array(part.shape) / step).astype(int) + 2 * margin
    # voxel i of the new grid lies at start + i * step in the part
    start = (np.array(part.shape) - 1) / 2 - (shape - 1) / 2 * step
    wide = np.maximum(np.ceil(step * (margin + 1)).astype(int), 1)
    padded = np.pad(part, [(n, n) for n in wide]).astype(np.float32)
    along = min(_SIGMA_MM, max(0.5 * max(spacing), 0.7 * edge))
    sigma = [along / s if s < along else _SIGMA_SLICES for s in spacing]
    blurred = ndimage.gaussian_filter(padded, sigma)
    sampled = ndimage.affine_transform(
        blurred, step, start + wide, output_shape=tuple(shape.tolist()), order=1
    )
    inside = min(max(round(np.count_nonzero(part) / float(np.prod(step))), 1), sampled.size - 1)
    level = min(float(np.partition(sampled, -inside, axis=None)[-inside]), _HIGHEST)
    vertices, faces, _, _ = marching_cubes(sampled, max(level, 1e-3))
    corner = np.array([box.start for box in boxes[0]])
    return (vertices * step + start + corner).astype(np.float32), faces.astype(np.int32)


def lit(
    vertices: NDArray[np.floating], faces: NDArray[np.integer], geometry: Geometry
) -> NDArray[np.float32]:
    """Brightness (n) of the vertices of a closed surface, 0 to 1: light from the front above, and less from behind.

    It stands still in the patient, as in a room: a viewer that mirrors or turns the picture cannot put it wrong.
    """
    places = geometry.index_to_world(vertices)
    a, b, c = (places[faces[:, n]] for n in range(3))
    across = np.cross(b - a, c - a)
    if (
        np.einsum("ij,ij->", a, across) < 0
    ):  # the triangles run the other way round, or the grid is a mirror image
        across = -across
    normals = np.zeros_like(places)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], across)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    front, behind = (np.maximum(normals @ (light / np.linalg.norm(light)), 0) for light in _LIGHTS)
    return np.asarray(np.minimum(_AMBIENT + _FRONT * front + _BEHIND * behind, 1), np.float32)
