"""Split the frames of one DICOM series into those that can be a volume: by orientation and size, and by phase."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

from napari_cpclnet.imaging.dicom_frames import TRAITS, Frame
from napari_cpclnet.imaging.dicom_geometry import SAME_ORIENTATION, distinct_depths

Part = tuple[str, list[Frame]]

PLANES = ("sagittal", "coronal", "axial")  # by the patient's axis (L, P, S) the slices are perpendicular to
# One slice in another orientation than at least this many others is an overview somebody put beside them.
CLEARLY_A_STACK = 3


def stacks(frames: Sequence[Frame]) -> tuple[list[Part], tuple[str, ...]]:
    """Frames of one orientation, size and pixel size each, and what was left out.

    Returns
    -------
    list of (label, frames), tuple of str
        The label is empty where there is one stack only.
    """
    if any(frame.refusal for frame in frames):  # a damaged slice is no localiser to be left out
        return [("", list(frames))], ()
    found: list[list[Frame]] = []
    for frame in frames:
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
                f"{single} {many} left out: of another orientation or size than the rest (a localiser?).",
            )
            found = [stack for stack in found if len(stack) > 1]
    # Many pictures, each in a direction of its own, are projections or a planning view, and no volumes.
    if len(found) > 2 and all(len(stack) == 1 for stack in found):
        found = [list(frames)]
    if len(found) == 1:
        return [("", found[0])], notes
    planes = [_plane(stack[0]) for stack in found]
    return [
        (f"stack {i} of {len(found)}: {plane}, {stack[0].size[0]} x {stack[0].size[1]}", stack)
        for i, (plane, stack) in enumerate(zip(planes, found, strict=True), start=1)
    ], notes


def phases(frames: list[Frame]) -> list[Part]:
    """Split frames that share positions into phases (times, echoes, image types, ...); one part if nothing does."""
    depths = distinct_depths(frames)
    if depths is None or len(frames) < 2:
        return [("", frames)]
    n_positions = max(depths) + 1
    # Many slices at one position are a cine or a bolus watch: a picture at each time, and no volume at any.
    if n_positions in (1, len(frames)):
        return [("", frames)]
    split = next(_splits(frames, depths, n_positions), None)
    if split is None:
        return [("", frames)]
    return [
        (f"phase {i} of {len(split)}: {label}", members) for i, (label, members) in enumerate(split, start=1)
    ]


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


def _fits(first: Frame, frame: Frame) -> bool:
    if first.size != frame.size:
        return False
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
