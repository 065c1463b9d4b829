from __future__ import annotations

import numpy as np

from napari_cpclnet.gui.layers.painted_slices import PaintedSlices


def test_lists_painted_slices_and_their_labels():
    labels = np.zeros((6, 5, 4), np.uint8)
    labels[2, 1, 1], labels[2, 3, 3], labels[5, 0, 0] = 7, 1, 7
    assert PaintedSlices().update(labels) == {2: (1, 7), 5: (7,)}


def test_sees_every_edit_and_every_axis():
    labels = np.zeros((6, 5, 4), np.uint8)
    painted = PaintedSlices()
    labels[2, 1, 3] = 1
    assert painted.update(labels) == {2: (1,)}
    labels[2, 1, 3] = 2
    assert painted.update(labels) == {2: (2,)}
    assert painted.update(labels, axis=2) == {3: (2,)}
    labels[...] = 0
    assert painted.update(labels, axis=2) == {}
