"""Split the frames of one DICOM series into those that can be a volume: by orientation and size, and by phase."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

import numpy as np

from napari_cpclnet.imaging.dicom.frames import TRAITS, Frame
from napari_cpclnet.imaging.dicom.geometry import SAME_ORIENTATION, distinct_depths

Part = tuple[str, list[Frame]]

PLANES = ("sagittal", "coronal", "axial")  # by the patient's axis (L, P, S) the slices are perpendicular to
# One slice in another orientation than at least this many others is an overview somebody put beside them.
CLEARLY_A_STACK = 3
# Pictures in more directions are projections, or damage.
MOST_STACKS = 300
# Of fewer slices nobody can tell whether they are a pass of their own.
FEWEST_OF_A_PASS = 3
# Distances of its slices may differ this much, and be so many times as wide as a slice is thick.
UNEVEN, WIDEST_OF_A_PASS = 0.1, 1.5
# Slices that differ in these are of different brightness or sharpness, and no volume if they lie between each other.
INCOMPARABLE = ("ConvolutionKernel", "KVP")


def stacks(frames: Sequence[Frame]) -> tuple[list[Part], tuple[str, ...]]:
    """Frames of one orientation, size, pixel size and frame of reference each, and what was left out.

    Returns
    -------
    list of (label, frames), tuple of str
        The label is empty where there is one stack only.
    """
    if any(frame.refusal for frame in frames):  # a damaged slice is no localiser to be left out
        return [("", list(frames))], ()
    found: list[list[Frame]] = []
    for frame in frames:
        if len(found) > MOST_STACKS:
            return [("", list(frames))], ()
        fitting = next((stack for stack in found if _fits(stack[0], frame)), None)
        if fitting is None:
            found.append([frame])
        else:
            fitting.append(frame)
    notes: tuple[str, ...] = ()
    if len(found) > 1 and max(map(len, found)) >= CLEARLY_A_STACK:
        single = sum(len(stack) == 1 for stack in found)
        if single:
            many = "slice was" if single == 1 else "slices were"
            notes = (
                f"{single} {many} left out: of another orientation, size or frame of reference than the rest "
                "(a localiser?).",
            )
            found = [stack for stack in found if len(stack) > 1]
    # Many pictures, each in a direction of its own, are projections or a planning view, and no volumes.
    if len(found) > 2 and all(len(stack) == 1 for stack in found):
        if all(_fits(frames[0], frame, of_one_reference=False) for frame in frames):
            notes = (
                "Each slice has a FrameOfReferenceUID of its own (an anonymiser's mistake?): their positions are taken "
                "to be in one frame of reference.",
            )
        found = [list(frames)]
    if len(found) == 1:
        return [("", found[0])], notes
    references = list(dict.fromkeys(stack[0].reference for stack in found))
    parts = []
    for number, stack in enumerate(found, start=1):
        first = stack[0]
        said = f"stack {number} of {len(found)}: {_plane(first)}, {first.size[0]} x {first.size[1]}"
        if len(references) > 1:
            said += f", frame of reference {references.index(first.reference) + 1}"
        parts.append((said, stack))
    return parts, notes


def phases(frames: list[Frame], modality: str) -> list[Part]:
    """Split the frames of a stack into those that can be a volume.

    Parameters
    ----------
    frames
        Of one orientation and size.
    modality
        DICOM modality.

    Returns
    -------
    list of (label, frames)
        Frames that share positions by phase (times, echoes, image types, ...), those that lie between each other by
        pass; one part without a label if nothing tells them apart.
    """
    depths = distinct_depths(frames)
    if depths is None or len(frames) < 2:
        return [("", frames)]
    n_positions = max(depths) + 1
    if n_positions == len(frames):
        passes = next(_passes(frames, modality), [])
        n = len(passes)
        named = [(f"pass {i} of {n}: {label}", part) for i, (label, part) in enumerate(passes, start=1)]
        return named or [("", frames)]
    # Many slices at one position are a cine or a bolus watch: a picture at each time, and no volume at any.
    if n_positions == 1:
        return [("", frames)]
    split = next(_splits(frames, depths, n_positions), None)
    if split is None:
        return [("", frames)]
    return [
        (f"phase {i} of {len(split)}: {label}", members) for i, (label, members) in enumerate(split, start=1)
    ]


def _passes(frames: list[Frame], modality: str) -> Iterator[list[Part]]:
    """Ways to split frames, of which no two are at one position, into passes whose slices lie between each other.

    Slices of which each pass alone has gaps were made one after the other for one volume.
    """
    ranks = list(range(len(frames)))
    for key in TRAITS:
        if 1 < len({frame.traits.get(key, "") for frame in frames}) <= len(frames) // FEWEST_OF_A_PASS:
            parts = _by_traits(frames, ranks, (key,))
            alone = key in INCOMPARABLE or all(_is_whole(members, modality) for _, members in parts)
            if alone and _lie_between(parts):
                yield parts


def _lie_between(parts: list[Part]) -> bool:
    """Whether the parts do not follow one another along the stack."""
    ends = sorted((min(depths), max(depths)) for depths in (_depths(members) for _, members in parts))
    return any(following[0] < before[1] for before, following in pairwise(ends))


def _is_whole(members: list[Frame], modality: str) -> bool:
    """Whether frames are an even stack, and not every second slice of one that was made in turns, as MR is."""
    gaps = np.diff(sorted(_depths(members)))
    if len(members) < FEWEST_OF_A_PASS:
        return False
    usual = float(np.median(gaps))
    if np.abs(gaps - usual).max() > UNEVEN * usual:
        return False
    thickness = members[0].thickness
    return modality == "CT" or (thickness is not None and usual <= WIDEST_OF_A_PASS * thickness)


def _depths(members: list[Frame]) -> list[float]:
    orientation = np.array(members[0].orientation)
    normal = np.cross(orientation[:3], orientation[3:])
    return [float(np.array(frame.position) @ normal) for frame in members]


def _splits(frames: list[Frame], depths: list[int], n_positions: int) -> Iterator[list[Part]]:
    """Ways to split frames so that none shares a position with another of its part, the best first."""
    varying = [key for key in TRAITS if len({frame.traits.get(key, "") for frame in frames}) > 1]
    for n_keys in (1, 2):
        for keys in combinations(varying, n_keys):
            parts = _by_traits(frames, depths, keys)
            if parts and all(len(members) == n_positions for _, members in parts):
                yield parts
    if len(frames) % n_positions == 0:
        times = len(frames) // n_positions
        if all(depths.count(depth) == times for depth in range(n_positions)):
            yield _by_number(frames, depths, times)
    for key in varying:
        parts = _by_traits(frames, depths, (key,))
        if parts and all(len(members) > 1 for _, members in parts):
            yield parts


def _by_traits(frames: list[Frame], depths: list[int], keys: tuple[str, ...]) -> list[Part]:
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, frame in enumerate(frames):
        groups[tuple(frame.traits.get(key, "") for key in keys)].append(i)
    if any(len({depths[i] for i in members}) < len(members) for members in groups.values()):
        return []
    parts = []
    for values in sorted(groups, key=lambda values: [_natural(value) for value in values]):
        said = [TRAITS[key][1].format(value or "none") for key, value in zip(keys, values, strict=True)]
        parts.append((", ".join(said), [frames[i] for i in groups[values]]))
    return parts


def _by_number(frames: list[Frame], depths: list[int], times: int) -> list[Part]:
    """The first frame at each position, the second, and so on, as the scanner counts them."""
    seen: dict[int, int] = defaultdict(int)
    parts: list[list[Frame]] = [[] for _ in range(times)]
    for i in sorted(range(len(frames)), key=lambda i: (frames[i].number, frames[i].index, frames[i].path)):
        parts[seen[depths[i]]].append(frames[i])
        seen[depths[i]] += 1
    return [("in the order of acquisition", part) for part in parts]


def _natural(value: str) -> tuple[float, str]:
    try:
        return (float(value), "")
    except ValueError:
        return (0.0, value)


def _fits(first: Frame, frame: Frame, *, of_one_reference: bool = True) -> bool:
    if first.size != frame.size:
        return False
    if of_one_reference and first.reference and frame.reference and first.reference != frame.reference:
        return False  # positions in different coordinates say nothing of each other
    if first.pixel is not None and frame.pixel is not None:
        differs = max(abs(a - b) for a, b in zip(first.pixel, frame.pixel, strict=True))
        if differs > 1e-3 * min(map(abs, first.pixel)):
            return False
    if first.orientation is None or frame.orientation is None:
        return True  # whoever places them says that this is missing
    turned = max(abs(a - b) for a, b in zip(first.orientation, frame.orientation, strict=True))
    return turned <= SAME_ORIENTATION


def _plane(frame: Frame) -> str:
    if frame.orientation is None:
        return "without a place"
    a, b, c, d, e, f = frame.orientation
    normal = [abs(b * f - c * e), abs(c * d - a * f), abs(a * e - b * d)]
    return PLANES[normal.index(max(normal))]
