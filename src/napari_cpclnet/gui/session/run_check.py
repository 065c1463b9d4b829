"""Checks before a run: what it would use, in words, and what looks odd enough to be asked about. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_cpclnet.gui.layers.scan_layers import labels_array
from napari_cpclnet.gui.layers.support_slices import SupportPair
from napari_cpclnet.gui.session.meaning import meaning_of, words

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cpclnet.gui.layers.support_slices import PaintedSlice
    from napari_cpclnet.gui.session.session import Session

# Of the usual area of a class on the other slices; less is a slip of the brush.
SMALL = 0.01


@dataclass(frozen=True)
class Plan:
    """What the next run learns from, and what it labels: in a line each, and in full."""

    learns: str
    labels: str
    details: str


@dataclass(frozen=True)
class Question:
    """Something to decide before a run: what is odd, and what can be done by the text of a button.

    A choice whose function is None goes on without a change.
    """

    text: str
    choices: dict[str, Callable[[], None] | None]


def plan(session: Session) -> Plan:
    """What a run would use if it began now; empty where nothing is painted."""
    used = [entry for entry in session.slices.entries(rescan=()) if entry.ticked]
    values = sorted({value for entry in used for value in entry.values})
    queries = [s for s in (*session.scans(), *session.queries.files) if session.is_ticked(s)]
    if not values:
        return Plan("", "", "")
    by_scan: dict[str, list[PaintedSlice]] = {}
    for entry in used:
        by_scan.setdefault(_named(session, entry.pair.scan), []).append(entry)
    slices = {scan: _slices(entries) for scan, entries in by_scan.items()}
    classes = ", ".join(session.classes.name(value) for value in values)
    names = [_named(session, source) for source in queries] or ["no scan is ticked"]
    details = "\n".join(
        [
            f"Learns {classes} from",
            *(f"    {scan}: {_listed(entries)}" for scan, entries in by_scan.items()),
            "Labels:",
            *(f"    {name}" for name in names),
            "Untick slices and scans above to leave them out; a right click on a scan sets its modality.",
        ]
    )
    # What does not fit into the panel is cut off: the classes, which stand in their table, too.
    learns = "; ".join(f"{scan}, {count}" for scan, count in slices.items())
    return Plan(f"Learns from {learns}: {classes}", f"Labels {'; '.join(names)}", details)


def questions(session: Session) -> list[Question]:
    """What to ask before a run; nothing, as a rule."""
    return [*_hidden(session), *_dabs(session), *_nowhere(session), *_outside(session)]


def _named(session: Session, source: object) -> str:
    meaning = words(meaning_of(session.queries, source))
    name = str(source.name)  # type: ignore[attr-defined]
    return f"{name} ({meaning})" if meaning else name


def _slices(entries: list[PaintedSlice]) -> str:
    return "1 slice" if len(entries) == 1 else f"{len(entries)} slices"


def _listed(entries: list[PaintedSlice]) -> str:
    """Slices by number, in each plane."""
    planes = dict.fromkeys(entry.plane for entry in entries)
    return "; ".join(f"{p} {', '.join(str(e.index) for e in entries if e.plane == p)}" for p in planes)


def _hidden(session: Session) -> list[Question]:
    """Paint that was made while another scan than its own was in sight."""
    found = []
    for pair, shown in session.slices.painted_blindly():
        entries = session.slices.entries(pair)
        if not any(entry.values for entry in entries):
            continue

        def use(pair: SupportPair = pair) -> None:
            session.activate(pair)
            session.slices.tick(session.slices.entries(pair), True)
            session.slices.forget_blindness(pair)

        def leave(pair: SupportPair = pair) -> None:
            session.slices.tick(session.slices.entries(pair), False)
            session.slices.forget_blindness(pair)

        text = (
            f"You painted on '{pair.labels.name}' while '{shown.name}' was shown, but that layer belongs to "
            f"'{pair.scan.name}', which was hidden: the paint may not fit its picture."
        )
        found.append(Question(text, {f"Use it on {pair.scan.name}": use, "Leave it out": leave}))
    return found


def _nowhere(session: Session) -> list[Question]:
    """Scans in files whose results would be saved nowhere."""
    queries = session.queries
    folder = queries.suggested
    if queries.save_to.folder or folder is None or not any(session.is_ticked(one) for one in queries.files):
        return []

    def save() -> None:
        queries.save_to = replace(queries.save_to, folder=folder)
        session.changed.emit()

    text = f"Results of scans in files are saved, not shown. Save them in {folder}?"
    return [Question(text, {"Save there": save})]


def _outside(session: Session) -> list[Question]:
    """A project that wants its results outside its folder, which somebody else may have written."""
    queries = session.queries
    outside, inside = queries.outside, queries.save_to
    if outside is None:
        return []

    def choose(folder: Path | None) -> None:
        queries.save_to, queries.outside = replace(inside, folder=folder), None
        session.changed.emit()

    text = f"The project wants its results in {outside}, outside its folder. Save them there, or in {inside.folder}?"
    choices: dict[str, Callable[[], None] | None] = {
        "Save in the project's folder": lambda: choose(inside.folder),
        "Save there": lambda: choose(outside),
    }
    return [Question(text, choices)]


def _dabs(session: Session) -> list[Question]:
    """Slices with hardly any paint, beside others with much."""
    odd: list[tuple[PaintedSlice, int]] = []
    for pair in session.slices.pairs:
        used = [
            entry
            for entry in session.slices.entries(pair, rescan=())
            if entry.ticked and entry.values and not entry.partial
        ]
        if len(used) < 3:
            continue
        slices = np.moveaxis(labels_array(pair.labels), pair.axis(used[0].plane), 0)
        areas = [int(np.count_nonzero(slices[entry.index])) for entry in used]
        usual = float(np.median(areas))
        odd += [(e, area) for e, area in zip(used, areas, strict=True) if area < SMALL * usual]
    if not odd:
        return []
    named = ", ".join(f"slice {e.index} of {e.pair.scan.name} ({n} voxels)" for e, n in odd)
    text = (
        f"There is hardly any paint on {named}. All the rest of a painted slice teaches the network that no organ is "
        "there."
    )
    return [
        Question(
            text,
            {"Leave out": lambda: session.slices.tick([e for e, _ in odd], False), "Use all the same": None},
        )
    ]
