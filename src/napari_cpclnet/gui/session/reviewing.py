"""Order of review: the next slice to look at, and accepting one. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cpclnet.gui.layers.view import slice_in_view
from napari_cpclnet.gui.session.reuse import scan_in_view

if TYPE_CHECKING:
    from napari_cpclnet.gui.session.queries import QuerySource
    from napari_cpclnet.gui.session.results import ScanResult
    from napari_cpclnet.gui.session.session import Session

Place = tuple["QuerySource", int]


def place_in_view(session: Session) -> Place | None:
    """The scan with a result that one looks at, and the number of its slice; None if there is none."""
    scan = scan_in_view(session)
    found = None if scan is None else session.results.of_source(scan)
    if found is None or found.layer is None:
        return None
    return scan, slice_in_view(session.viewer, found.layer, found.axis)


def next_to_review(session: Session, *, back: bool = False) -> Place | None:
    """The next slice that is not reviewed, in the scan in view and then in the others; None if all are.

    From the end it goes on at the beginning. Scans that are only in files are left out: they must be opened first.
    """
    places = [
        (one.source, index) for one in _open(session) for index in one.to_review if index not in one.reviewed
    ]
    here, order = place_in_view(session), [one.source for one in _open(session)]
    places = places[::-1] if back else places
    if here is None or here[0] not in order:
        return next(iter(places), None)
    at = (order.index(here[0]), here[1])
    keys = [(order.index(source), index) for source, index in places]
    ahead = [place for place, key in zip(places, keys, strict=True) if (key < at if back else key > at)]
    others = [place for place, key in zip(places, keys, strict=True) if key != at]
    return next(iter(ahead or others), None)


def next_scan_to_review(session: Session) -> Place | None:
    """First slice that is not reviewed of the next scan that has some; None if there is no other scan."""
    here = place_in_view(session)
    found = _open(session)
    if here is not None:
        order = [one.source for one in found]
        at = order.index(here[0]) + 1 if here[0] in order else 0
        found = [one for one in found[at:] + found[:at] if one.source is not here[0]]
    for one in found:
        for index in one.to_review:
            if index not in one.reviewed:
                return one.source, index
    return None


def accept_slice(session: Session) -> bool:
    """Remember that the slice in view was reviewed; False if it is none of the slices to review."""
    here = place_in_view(session)
    found = None if here is None else session.results.of_source(here[0])
    if here is None or found is None or here[1] not in found.to_review:
        return False
    session.results.review(*here)
    return True


def _open(session: Session) -> list[ScanResult]:
    return [one for one in session.results if one.layer is not None]
