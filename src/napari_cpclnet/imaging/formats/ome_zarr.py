"""OME-Zarr: a folder of compressed blocks, of which a part is read without the rest.

After the OME-NGFF specification, versions 0.4 and 0.5 (https://ngff.openmicroscopy.org). It knows spacing and place,
but no direction of axes: that of an oblique scan is kept in an attribute of ours, and other programs show it straight.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet._version import __version__
from napari_cpclnet.errors import GeometryError, ImageError, OutputError
from napari_cpclnet.files.bounded import load_json, read_text, shown
from napari_cpclnet.files.scratch import finished, settling
from napari_cpclnet.imaging.formats.size_checks import check_memory
from napari_cpclnet.imaging.geometry import IDENTITY, Geometry

SUFFIX = ".ome.zarr"
OURS = "napari_cpclnet"
VERSION = "0.5"
_BLOCK = 128
_MILLIMETRES = {
    "millimeter": 1.0,
    "centimeter": 10.0,
    "meter": 1000.0,
    "micrometer": 1e-3,
    "nanometer": 1e-6,
    "angstrom": 1e-7,
    "inch": 25.4,
}
_MOST_BLOCK = 1 << 30
_MOST_BLOCKS = 1_000_000
_KINDS = "biuf"
# What unpacks blocks; one of numcodecs would run what is in them.
_CODECS = frozenset({"bytes", "crc32c", "gzip", "zstd", "blosc", "transpose"})
_COMPRESSORS = frozenset({"blosc", "gzip", "zlib", "zstd", "lz4", "bz2", "lzma"})

Color = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class OmeZarr:
    """What lies in a folder: an array (z, y, x) of zarr or dask, its grid, and of labels their names and colours."""

    array: Any
    geometry: Geometry
    calibrated: bool
    names: dict[int, str] = field(default_factory=dict)
    colors: dict[int, Color] = field(default_factory=dict)
    is_labels: bool = False
    meaning: tuple[str, str] | None = None


def is_ome_zarr(path: Path) -> bool:
    """Whether a path is a folder of this kind, by its name."""
    return path.name.lower().endswith(".zarr") and path.is_dir()


def suffix_of(path: Path) -> str:
    """The suffix of a folder of this kind in a name, or an empty string."""
    return path.name[-len(SUFFIX) :] if path.name.lower().endswith(SUFFIX) else ""


def save_ome_zarr(
    array: Any,
    geometry: Geometry,
    path: Path,
    *,
    labels: Mapping[int, str] | None = None,
    colors: Mapping[int, Color] | None = None,
    meaning: tuple[str, str] | None = None,
) -> None:
    """Write grey values or labels to a new folder, block by block: an array of dask is never whole in memory.

    Parameters
    ----------
    array
        (z, y, x), of numpy or dask.
    geometry
    path
        Must not exist.
    labels, colors
        Names and colours of label values; None for grey values.
    meaning
        Modality and unit of grey values.

    Raises
    ------
    OutputError
        If zarr is not installed, or the type of the values is none of numbers.
    """
    zarr = _zarr(path, OutputError)
    kind = np.dtype(array.dtype)
    if kind.kind not in _KINDS:
        raise OutputError(f"{path}: cannot hold values of type {kind}.")
    blocks = tuple(min(_BLOCK, n) for n in array.shape)
    group = zarr.create_group(path, zarr_format=3)
    stored = group.create_array(
        "0",
        shape=array.shape,
        chunks=blocks,
        dtype=kind.newbyteorder("="),
        dimension_names=("z", "y", "x"),
    )
    for first in range(0, array.shape[0], blocks[0]):
        stored[first : first + blocks[0]] = np.asarray(array[first : first + blocks[0]])
    axes = [{"name": name, "type": "space", "unit": "millimeter"} for name in "zyx"]
    transforms = [
        {"type": "scale", "scale": list(geometry.spacing)},
        {"type": "translation", "translation": list(geometry.origin)},
    ]
    image: dict[str, Any] = {
        "version": VERSION,
        "multiscales": [
            {
                "name": "image",
                "axes": axes,
                "datasets": [{"path": "0", "coordinateTransformations": transforms}],
            }
        ],
    }
    ours: dict[str, Any] = {"version": __version__, "direction": np.asarray(geometry.direction).tolist()}
    if labels is not None:
        image["image-label"] = {
            "colors": [
                {"label-value": value, "rgba": [*color, 255]} for value, color in (colors or {}).items()
            ],
            "properties": [{"label-value": value, "name": name} for value, name in labels.items()],
        }
    elif meaning is not None:
        ours["modality"], ours["unit"] = meaning
    group.attrs.update({"ome": image, OURS: ours})


def replace_ome_zarr(new: Path, target: Path, aside: Path) -> None:
    """Move a folder to where an older one may be, which goes only when the new one is in its place.

    Raises
    ------
    OutputError
        If what is there is no such folder.
    """
    if target.exists():
        if not (target / "zarr.json").is_file() and not (target / ".zattrs").is_file():
            raise OutputError(f"{target}: is there already and is no OME-Zarr folder; choose another name.")
        target.replace(aside)
    new.replace(target)
    shutil.rmtree(aside, ignore_errors=True)


def open_ome_zarr(path: Path) -> OmeZarr:
    """Open a folder; voxels are read when they are asked for.

    Raises
    ------
    ImageError
        If it holds no image of three spatial axes, more than one channel or time, or what is no plain numbers; or zarr
        is not installed.
    """
    zarr = _zarr(path, ImageError)
    attributes = _attributes(path)
    image = attributes.get("ome", attributes)
    try:
        scales = image["multiscales"][0]
        axes = [axis if isinstance(axis, str) else axis["name"] for axis in scales["axes"]]
        units = [None if isinstance(axis, str) else axis.get("unit") for axis in scales["axes"]]
        dataset = scales["datasets"][0]
        transforms = [
            *dataset.get("coordinateTransformations", ()),
            *scales.get("coordinateTransformations", ()),
        ]
        place = str(dataset["path"])
        _check_codecs(path, path / place)
        stored = zarr.open_array(path / place, mode="r")
        array = _spatial(path, stored, axes)
        ours: dict[str, Any] = dict(attributes.get(OURS, {}))
        geometry, calibrated = _geometry(array.shape, axes, units, transforms, ours.get("direction"))
        names, colors = _label_facts(image.get("image-label", {}))
    except (ImageError, GeometryError) as error:
        raise ImageError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OSError) as error:
        raise ImageError(f"{path}: is no OME-Zarr image ({shown(error, 200)}).") from error
    meaning = (str(ours["modality"]), str(ours.get("unit", ""))) if "modality" in ours else None
    return OmeZarr(array, geometry, calibrated, names, colors, "image-label" in image, meaning)


def _zarr(path: Path, error: type[ImageError | OutputError]) -> Any:
    try:
        import zarr
    except ImportError as missing:
        raise error(
            f"{path}: OME-Zarr needs zarr: pip install 'napari-cpclnet[zarr]' ({missing})."
        ) from missing
    return zarr


def _attributes(path: Path) -> dict[str, Any]:
    """Attributes of a group: of version 3 of zarr, or of version 2."""
    try:
        if (path / "zarr.json").is_file():
            found = load_json(read_text(path / "zarr.json")).get("attributes", {})
        else:
            found = load_json(read_text(path / ".zattrs"))
    except (OSError, ValueError, AttributeError) as error:
        raise ImageError(f"{path}: is no OME-Zarr image ({shown(error, 200)}).") from error
    if not isinstance(found, dict):
        raise ImageError(f"{path}: is no OME-Zarr image (its attributes are no mapping).")
    return found


def _check_codecs(path: Path, array: Path) -> None:
    """Refuse an array whose blocks are unpacked by anything that might run what is in them."""
    if not array.resolve().is_relative_to(path.resolve()):
        raise ImageError(f"{path}: names an array outside of itself.")
    if (array / "zarr.json").is_file():
        codecs = load_json(read_text(array / "zarr.json"))["codecs"]
        names = {str(one["name"]) for one in codecs}
        unknown = names - _CODECS
    else:
        facts = load_json(read_text(array / ".zarray"))
        packed = facts.get("compressor")
        unknown = set() if packed is None else {str(packed["id"])} - _COMPRESSORS
        unknown |= {str(one["id"]) for one in facts.get("filters") or ()}
    if unknown:
        raise ImageError(
            f"{path}: is packed by {', '.join(sorted(unknown))}, which this program does not read."
        )


def _spatial(path: Path, stored: Any, axes: Sequence[str]) -> Any:
    """The array (z, y, x) of dask that lies in a stored one of up to five axes."""
    import dask.array as da

    if len(axes) != stored.ndim or np.dtype(stored.dtype).kind not in _KINDS:
        raise ImageError(
            f"{path}: its axes {axes} do not fit an array of {stored.ndim} axes of {stored.dtype}."
        )
    if [axis for axis in axes if axis in "zyx"] not in (["z", "y", "x"], ["y", "x"]):
        raise ImageError(f"{path}: its axes are {', '.join(axes)}; expected are z, y, x in this order.")
    item = np.dtype(stored.dtype).itemsize
    if not all(stored.shape):
        raise ImageError(f"{path}: is empty.")
    if math.prod(stored.chunks) * item > _MOST_BLOCK:
        raise ImageError(f"{path}: its blocks are larger than {_MOST_BLOCK >> 30} GiB.")
    if math.prod(-(-n // block) for n, block in zip(stored.shape, stored.chunks, strict=True)) > _MOST_BLOCKS:
        raise ImageError(f"{path}: says it has more than {_MOST_BLOCKS} blocks; its header is damaged.")
    array = da.from_array(stored, chunks=stored.chunks)
    others = [place for place, axis in enumerate(axes) if axis not in "zyx"]
    if any(array.shape[place] != 1 for place in others):
        raise ImageError(f"{path}: holds several channels or times; save one of them.")
    array = array[tuple(0 if place in others else slice(None) for place in range(array.ndim))]
    return array if array.ndim == 3 else array[None]


def _geometry(
    shape: tuple[int, ...],
    axes: Sequence[str],
    units: Sequence[str | None],
    transforms: Sequence[Mapping[str, Any]],
    direction: Any,
) -> tuple[Geometry, bool]:
    """Grid of an image, and whether its size is said in a unit of length."""
    spacing, origin = np.ones(len(axes)), np.zeros(len(axes))
    for one in transforms:  # in their order: those of the whole after those of the level
        if one["type"] == "scale":
            factor = np.asarray(one["scale"], float)
            spacing, origin = spacing * factor, origin * factor
        elif one["type"] == "translation":
            origin = origin + np.asarray(one["translation"], float)
        elif one["type"] != "identity":
            raise ImageError(f"places its voxels by {shown(one['type'])}, which this program does not read.")
    spatial = [place for place, axis in enumerate(axes) if axis in "zyx"]
    mm = np.array([_MILLIMETRES.get(units[place] or "", 1.0) for place in spatial])
    calibrated = all(units[place] in _MILLIMETRES for place in spatial)
    steps, start = (spacing[spatial] * mm).tolist(), (origin[spatial] * mm).tolist()
    if len(spatial) == 2:
        steps, start = [1.0, *steps], [0.0, *start]
    turned: Any = IDENTITY if direction is None else tuple(tuple(map(float, row)) for row in direction)
    z, y, x = (int(n) for n in shape)
    return Geometry((z, y, x), tuple(steps), tuple(start), turned), calibrated


def _label_facts(found: Mapping[str, Any]) -> tuple[dict[int, str], dict[int, Color]]:
    names = {
        int(one["label-value"]): str(one["name"]) for one in found.get("properties", ()) if "name" in one
    }
    colors = {}
    for one in found.get("colors", ()):
        red, green, blue = (int(part) for part in one["rgba"][:3])
        colors[int(one["label-value"])] = (red, green, blue)
    return {value: name for value, name in names.items() if value}, colors


def loading(
    path: Path,
    found: OmeZarr,
    each: Callable[[NDArray[Any]], NDArray[Any]] = lambda part: part,
    dtype: Any = None,
) -> Generator[float, None, NDArray[Any]]:
    """All voxels; those of a large array in a temporary file (see `scratch.settling`, which says what is reported).

    Raises
    ------
    ImageError
        If there are more than fit into memory, or a block is damaged.
    OutputError
        If there is no room for the temporary file.
    """
    check_memory(path, found.array.shape, found.array.dtype.itemsize)
    try:
        return (yield from settling(found.array, str(path), each, dtype))
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise ImageError(f"{path}: a block of it cannot be read ({shown(error, 200)}).") from error


def loaded(path: Path, found: OmeZarr) -> NDArray[Any]:
    """All voxels as `loading` reads them."""
    return finished(loading(path, found))
