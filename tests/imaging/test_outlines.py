"""Structure sets whose outlines are doubled, nested, overlapping, too small or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.imaging.dicom.dicom_series import write_structures

from napari_cpclnet.imaging import Geometry, read_segmentation
from napari_cpclnet.imaging.outlines import MOSTLY_INSIDE, FilledOutlines, Region

GRID = Geometry((6, 64, 64), (2.0, 1.0, 1.0), (0.0, 0.0, 0.0))
HEIGHTS = (2.0, 4.0, 6.0)


def box(top: float, left: float, bottom: float, right: float, height: float = 2.0) -> np.ndarray:
    corners = [(top, left), (top, right), (bottom, right), (bottom, left)]
    return np.array([(height, y, x) for y, x in corners])


def count(path: Path, name: str = "GTV") -> int:
    found = read_segmentation(path, like=GRID)
    (value,) = (value for value, known in found.classes.items() if known == name)
    return int(np.count_nonzero(found.labels == value))


def said(path: Path) -> str:
    return " ".join(read_segmentation(path, like=GRID).notes)


REPEATS = {
    "as it is": lambda outline: outline,
    "the other way round": lambda outline: outline[::-1],
    "from another point": lambda outline: np.roll(outline, 2, axis=0),
    "closed": lambda outline: np.concatenate([outline, outline[:1]]),
    "rounded": lambda outline: outline + (0, 0.004, -0.004),
    "with more points": lambda outline: (
        np.repeat(outline, 2, axis=0)
        + np.tile([[0], [0.5]], (4, 1)) * np.repeat(np.roll(outline, -1, axis=0) - outline, 2, axis=0)
    ),
}


@pytest.mark.parametrize("kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"])
@pytest.mark.parametrize("how", REPEATS)
def test_an_outline_given_twice_counts_once_and_is_said(tmp_path: Path, how: str, kind: str) -> None:
    outlines = [box(4.5, 4.5, 14.5, 14.5, z) for z in HEIGHTS]
    outlines.append(REPEATS[how](box(4.5, 4.5, 14.5, 14.5, 4.0)))
    write_structures(tmp_path / "rs.dcm", {"GTV": outlines}, kind=kind)
    assert count(tmp_path / "rs.dcm") == 300
    assert said(tmp_path / "rs.dcm") == "Outlines that are there twice were taken once, in: GTV."


@pytest.mark.parametrize(
    "kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR", "closedplanar_xor"]
)
def test_outlines_within_outlines_are_holes_and_islands(tmp_path: Path, kind: str) -> None:
    nested = [box(4.5, 4.5, 44.5, 44.5), box(9.5, 9.5, 39.5, 39.5), box(14.5, 14.5, 24.5, 24.5)]
    write_structures(tmp_path / "rs.dcm", {"GTV": nested}, kind=kind)
    assert count(tmp_path / "rs.dcm") == 1600 - 900 + 100
    assert said(tmp_path / "rs.dcm") == ""


def test_outlines_that_overlap_in_part_are_taken_together_unless_they_say_otherwise(tmp_path: Path) -> None:
    two = [box(4.5, 4.5, 14.5, 14.5), box(4.5, 10.5, 14.5, 20.5)]
    write_structures(tmp_path / "rs.dcm", {"GTV": two})
    assert count(tmp_path / "rs.dcm") == 160
    assert "overlap in part were taken together, in: GTV" in said(tmp_path / "rs.dcm")
    write_structures(tmp_path / "xor.dcm", {"GTV": two}, kind="CLOSEDPLANAR_XOR")
    assert count(tmp_path / "xor.dcm") == 120


def test_what_vanishes_is_named(tmp_path: Path) -> None:
    dot = [box(30.2, 30.2, 30.4, 30.4, z) for z in HEIGHTS]
    part = [*(box(40.5, 40.5, 50.5, 50.5, z) for z in HEIGHTS[1:]), box(45.2, 45.2, 45.4, 45.4)]
    regions = {"liver": [box(4.5, 4.5, 14.5, 14.5)], "dot": dot, "tip": part, "none": []}
    write_structures(tmp_path / "rs.dcm", regions, only_named=("absent",))
    assert count(tmp_path / "rs.dcm", "liver") == 100
    assert count(tmp_path / "rs.dcm", "tip") == 200
    notes = read_segmentation(tmp_path / "rs.dcm", like=GRID).notes
    assert notes == (
        "Structures without closed outlines were left out: none, absent.",
        "Outlines in which no voxel of the scan has its centre were left out, in: tip (1).",
        "Without a voxel on the scan, as they lie outside or are too small: dot.",
    )


def slices_with(path: Path) -> list[int]:
    return np.flatnonzero(read_segmentation(path, like=GRID).labels.any(axis=(1, 2))).tolist()


def test_an_outline_a_little_beside_its_plane_does_not_thin_the_others(tmp_path: Path) -> None:
    wide = [box(4.5, 4.5, 14.5, 14.5, height) for height in (0.0, 4.0, 8.0)]
    write_structures(tmp_path / "rs.dcm", {"GTV": [*wide, box(24.5, 24.5, 30.5, 30.5, 4.2)]})
    assert slices_with(tmp_path / "rs.dcm") == [0, 1, 2, 3, 4]
    assert count(tmp_path / "rs.dcm") >= 500


def test_an_outline_of_very_many_points_is_read(tmp_path: Path) -> None:
    """Its numbers do not fit into an element of their own type, and are stored as bytes."""
    turn = np.linspace(0, 2 * np.pi, 6000, endpoint=False)
    circle = np.stack([np.full_like(turn, 4.0), 30.1 + 20 * np.sin(turn), 30.1 + 20 * np.cos(turn)], axis=1)
    write_structures(tmp_path / "rs.dcm", {"GTV": [circle, circle[::-1]]})
    assert count(tmp_path / "rs.dcm") == pytest.approx(np.pi * 400, rel=0.01)
    assert "taken once" in said(tmp_path / "rs.dcm")


def test_planes_far_apart_are_as_thick_as_a_slice(tmp_path: Path) -> None:
    fine = Geometry((64, 64, 64), (1.0, 1.0, 1.0))
    write_structures(
        tmp_path / "rs.dcm", {"GTV": [box(4.5, 4.5, 14.5, 14.5, height) for height in (10.0, 50.0)]}
    )
    found = read_segmentation(tmp_path / "rs.dcm", like=fine).labels
    assert np.flatnonzero(found.any(axis=(1, 2))).tolist() == [10, 50]


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(1, 30)] * 2, st.booleans()), min_size=1, max_size=5
    )
)
def test_xor_is_xor_and_together_is_everything_but_holes(boxes) -> None:
    outlines, masks = [], []
    for top, left, height, width, _ in dict.fromkeys(boxes):
        mask = np.zeros(GRID.shape[1:], bool)
        mask[top : top + height, left : left + width] = True
        if not any(np.array_equal(mask, other) for other in masks):
            masks.append(mask)
            outlines.append(box(top - 0.5, left - 0.5, top + height - 0.5, left + width - 0.5))
    odd = FilledOutlines().mask(Region(1, "x", None, outlines, is_xor=True), GRID, 0)[1]
    np.testing.assert_array_equal(odd, np.logical_xor.reduce(masks))
    together = FilledOutlines().mask(Region(1, "x", None, outlines), GRID, 0)[1]
    covered = np.sum(masks, axis=0)
    assert not together[covered == 0].any()
    # What lies in one outline only is filled, but for the rim of a hole that reaches a little beyond the edge.
    lost = np.count_nonzero((covered == 1) & ~together)
    assert lost <= (1 - MOSTLY_INSIDE) * sum(map(np.count_nonzero, masks))
