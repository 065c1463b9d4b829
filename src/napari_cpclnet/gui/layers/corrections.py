"""Corrected voxels of a result: those that differ from what the run wrote, now or before an earlier run. No Qt.

A result carries in its note what the run wrote (``written``) and which voxels had been corrected before it
(``corrected``); they stay corrected for good.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cpclnet.gui.layers.editing import set_voxels
from napari_cpclnet.gui.layers.label_snapshot import LabelSnapshot, PackedMask
from napari_cpclnet.gui.layers.scan_layers import KEY, labels_array, note

if TYPE_CHECKING:
    from napari.layers import Labels, Layer

    from napari_cpclnet.gui.layers.undoing import UndoSteps


@dataclass(frozen=True, eq=False)
class Changes:
    """Corrected voxels of a result.

    ``masks``: by slice along z; ``gained``: how many voxels each label value has more (or less) than the run wrote.
    """

    masks: dict[int, np.ndarray] = field(default_factory=dict)
    gained: dict[int, int] = field(default_factory=dict)

    @property
    def voxels(self) -> int:
        """How many."""
        return sum(int(np.count_nonzero(mask)) for mask in self.masks.values())

    def slices(self, axis: int) -> int:
        """How many slices along an array axis (z, y, x) have any."""
        if axis == 0 or not self.masks:
            return len(self.masks)
        return int(np.count_nonzero(np.any([m.any(2 - axis) for m in self.masks.values()], axis=0)))

    def __bool__(self) -> bool:
        return bool(self.masks)

    def on_slice(self, axis: int, index: int) -> Changes:
        """Those on one slice along an array axis, without what they gained."""
        masks = {}
        for z, mask in self.masks.items():
            here = np.zeros_like(mask)
            if axis == 0:
                here |= z == index
            else:
                np.moveaxis(here, axis - 1, 0)[index] = True
            if (here := here & mask).any():
                masks[z] = here
        return Changes(masks)

    def mask(self, shape: tuple[int, ...]) -> np.ndarray:
        """All of them (z, y, x)."""
        mask = np.zeros(shape, bool)
        for index, one in self.masks.items():
            mask[index] = one
        return mask


def result_note(written: LabelSnapshot | None, corrected: PackedMask | None = None) -> dict[str, Any]:
    """What makes a layer a result; its corrections are known if it is known what was ``written``."""
    return {"written": written, "corrected": corrected}


def is_result(layer: Layer) -> bool:
    """Whether a layer was made by a run."""
    return "written" in note(layer)


def remember(layer: Labels, written: LabelSnapshot, corrected: PackedMask | None) -> None:
    """Note on a result what a run wrote, and what had been corrected before."""
    layer.metadata = {**layer.metadata, KEY: {**note(layer), **result_note(written, corrected)}}


def is_edited(layer: Labels) -> bool:
    """Whether anyone corrected a result, by brush or by any other way."""
    written, before = note(layer)["written"], note(layer)["corrected"]
    if before is not None and before.masks:
        return True
    labels = labels_array(layer)
    return written is None or written.shape != labels.shape or bool(written.changed(labels))


def corrected_text(layer: Labels) -> dict[int, str] | None:
    """Corrected voxels of a result in letters, for a file; None if they are not known."""
    if note(layer)["written"] is None:
        return None
    labels = labels_array(layer)
    return PackedMask.of(changes(layer).mask(labels.shape)).text()


def written_checksum(layer: Labels) -> int | None:
    """CRC-32 of what the run wrote, if it is known."""
    written = note(layer)["written"]
    return note(layer).get("checksum") if written is None else written.checksum


def changes(layer: Labels) -> Changes:
    """Corrected voxels of a result."""
    written: LabelSnapshot | None = note(layer)["written"]
    before: PackedMask | None = note(layer)["corrected"]
    labels = labels_array(layer)
    if written is None or written.shape != labels.shape:
        return Changes()
    masks: dict[int, np.ndarray] = {}
    gained: Counter[int] = Counter()
    for index in written.changed(labels):
        old, new = written[index], labels[index]
        mask = masks[index] = old != new
        gained.update(new[mask].tolist())
        gained.subtract(old[mask].tolist())
    for index in before.masks if before is not None else ():
        assert before is not None
        earlier = before.mask(index, labels.shape[1:])
        masks[index] = masks[index] | earlier if index in masks else earlier
    return Changes(masks, {value: count for value, count in gained.items() if value and count})


def unlock(layer: Labels, found: Changes, steps: UndoSteps) -> int:
    """Give corrected voxels of a result back to the network; returns how many get its answer back at once.

    Those are the ones that were changed since the last run. Of voxels that were corrected before it there is no answer
    yet: they stay what they are, and the next run is free there. napari's undo brings all back, in one of ``steps``.
    """
    written, before = note(layer)["written"], note(layer)["corrected"]
    if written is None or not found:
        return 0
    labels = labels_array(layer)
    places, values = [], []
    for z, mask in found.masks.items():
        answer = written[z]
        rows, columns = np.nonzero(mask & (labels[z] != answer))
        places.append((np.full_like(rows, z), rows, columns))
        values.append(answer[rows, columns])
    after = None if before is None else before.without(found.masks)
    changed = np.concatenate(values)

    def release() -> None:
        remember(layer, written, after)

    with steps.one_step(layer, lambda: remember(layer, written, before), release):
        release()
        if len(changed):
            set_voxels(layer, [np.concatenate(one) for one in zip(*places, strict=True)], changed)
    if not len(changed):
        layer.refresh()  # which tells that something is another now
    return len(changed)
