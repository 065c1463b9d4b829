"""``napari-cpclnet demo``: the main job on phantoms of three patients, seen and measured."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from napari_cpclnet.cli.files import scan_progress
from napari_cpclnet.cli.labelling import predict, sizes
from napari_cpclnet.cli.outputs import check_folder, output_paths, prepare_outputs, write_results
from napari_cpclnet.files.atomic import atomic_write
from napari_cpclnet.imaging import write_segmentation, write_volume
from napari_cpclnet.preprocessing import PreprocessingSettings
from napari_cpclnet.segmentation import SegmentationSettings, SupportSet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_cpclnet.imaging import Segmentation, Volume

PALETTE = ((230, 97, 1), (94, 60, 153), (27, 158, 119), (231, 41, 138), (102, 166, 30), (166, 118, 29))
"""Colours of the classes in the pictures, in the order of the classes."""

PICTURE_HEIGHT = 256


def run_demo(out: Path, *, device: str = "auto", seed: int = 0, window: bool | None = None) -> None:
    """Make phantoms, paint five slices of the CT, label the MR and the PET, write and show the result.

    Raises
    ------
    CpclnetError
        If the device does not exist or the folder cannot be written.
    """
    from napari_cpclnet.model import choose_device, load_weights
    from napari_cpclnet.phantoms.demo import demo_scans, spread_slices
    from napari_cpclnet.segmentation import Segmenter

    chosen = choose_device(device)
    check_folder(out)
    typer.echo("Making a phantom CT, MR and PET of three different patients.")
    scans = demo_scans(seed)
    ct, painted = scans.support.volume, scans.painted
    support = SupportSet(painted.classes)
    support.add(ct, painted.labels, slices=scans.painted_slices)
    listed = ", ".join(str(index) for index in scans.painted_slices)
    typer.echo(f"Painted: slices {listed} of {ct.name} ({', '.join(painted.classes.values())}).")
    segmenter = Segmenter(load_weights(None, chosen), SegmentationSettings(device=device))
    segmenter.set_support(support)

    paths = output_paths(out, ct.name, {}, "nii.gz")
    prepare_outputs(paths, overwrite=True)
    write_volume(ct, out / f"{ct.name}.nii.gz")
    write_segmentation(painted, out / f"{ct.name}_painted.nii.gz")
    write_picture(out / f"{ct.name}_painted.png", ct, painted, scans.painted_slices)
    results = []
    for query in scans.queries:
        name = query.volume.name
        with scan_progress(name) as progress:
            predict(segmenter, query.volume, progress)
            result = segmenter.result()
        results.append(result)
        write_volume(query.volume, out / f"{name}.nii.gz")
        write_results(output_paths(out, name, {}, "nii.gz"), result, [])
        write_picture(out / f"{name}_labels.png", query.volume, result, spread_slices(query.truth.labels, 5))
        typer.echo(f"{name}: {sizes(result, calibrated=query.volume.calibrated)}")
        typer.echo(f"  Dice against the phantom's own labels: {_dice_line(result, query.truth)}")
    typer.echo(f"Pictures and label files are in {out}.")
    if window is None:
        window = may_have_display()
    if window:
        from napari_cpclnet.gui.demo import open_demo, why_no_window

        reason = why_no_window()
        if reason:
            typer.echo(f"No window: {reason}.", err=True)
        else:
            typer.echo("Opening napari; close its window to end.")
            open_demo(scans, results)


def may_have_display() -> bool:
    """Whether a window can be expected to open here; Windows and macOS always have a desktop."""
    names = ("DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform in ("win32", "darwin") or any(os.environ.get(name) for name in names)


def dice(result: NDArray[Any], truth: NDArray[Any], label: int) -> float:
    """Dice overlap of one class; 1.0 where it is in neither."""
    ours, theirs = result == label, truth == label
    total = int(ours.sum()) + int(theirs.sum())
    return 2.0 * int((ours & theirs).sum()) / total if total else 1.0


def _dice_line(result: Segmentation, truth: Segmentation) -> str:
    values = {name: dice(result.labels, truth.labels, label) for label, name in truth.classes.items()}
    parts = [f"{name} {value:.2f}" for name, value in values.items()]
    return ", ".join([*parts, f"mean {sum(values.values()) / len(values):.2f}"])


def write_picture(path: Path, volume: Volume, segmentation: Segmentation, slices: tuple[int, ...]) -> None:
    """Write a PNG of axial slices side by side: the scan above, the scan with coloured labels below.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    import numpy as np
    from PIL import Image

    from napari_cpclnet.preprocessing import intensity_range, normalise

    value_range = intensity_range(volume, PreprocessingSettings())
    _, row_mm, column_mm = volume.geometry.spacing
    rows, cols = _body(volume, value_range)
    columns = []
    for index in slices:
        grey = normalise(volume.array[index, rows, cols], value_range)
        if volume.modality == "PT":  # readers of PET expect uptake in black
            grey = 1.0 - grey
        plain = np.repeat((grey * 255).astype(np.uint8)[..., None], 3, axis=-1)
        coloured = overlay(plain, segmentation.labels[index, rows, cols], list(segmentation.classes))
        columns.append(np.concatenate([plain, coloured], axis=0))
    picture = Image.fromarray(np.concatenate(columns, axis=1))
    scale = 2 * PICTURE_HEIGHT / picture.height
    size = (round(picture.width * scale * column_mm / row_mm), round(picture.height * scale))
    with atomic_write(path, "the picture") as temporary:
        picture.resize(size, Image.Resampling.BICUBIC).save(temporary, format="PNG")


def _body(volume: Volume, value_range: tuple[float, float]) -> tuple[slice, slice]:
    """Rows and columns that hold something, so that the pictures do not show the room."""
    import numpy as np

    from napari_cpclnet.preprocessing import normalise

    brightest = normalise(volume.array.max(axis=0), value_range)
    spans = []
    for axis in (1, 0):
        filled = np.flatnonzero((brightest > 0.1).any(axis=axis))
        low, high = (filled[0] - 4, filled[-1] + 5) if filled.size else (0, brightest.shape[1 - axis])
        spans.append(slice(max(int(low), 0), int(high)))
    return spans[0], spans[1]


def overlay(picture: NDArray[np.uint8], labels: NDArray[Any], classes: list[int]) -> NDArray[np.uint8]:
    """Colour the labels (h, w) over a picture (h, w, 3): their inside thinly, their outline fully."""
    from skimage.segmentation import find_boundaries

    blended = picture.astype(float)
    outline = find_boundaries(labels, mode="inner")
    for position, label in enumerate(classes):
        colour = PALETTE[position % len(PALETTE)]
        inside = labels == label
        blended[inside] = 0.7 * blended[inside] + [0.3 * value for value in colour]
        blended[inside & outline] = colour
    return blended.round().astype(picture.dtype)
