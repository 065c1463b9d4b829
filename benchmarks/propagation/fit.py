"""Fit the weights of the evidence that carries painted slices, and see how much they depend on any set of scans.

    python benchmarks/propagation/fit.py

Prints logistic weights of `napari_cpclnet.propagation.evidence.COLUMNS` over the unpainted slices of all structures of
the test scans, five painted slices each, sets weighing by the root of their number of structures; the weights without
grey values; and the weights with each set left out. These scans are those of the tables: eight numbers were fitted to
them.
Scans come from the folder CPCLNET_TEST_DATA.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from painted import Structure, structures

from napari_cpclnet.propagation.carrying import WEIGHTS, extent, radius, stretches
from napari_cpclnet.propagation.evidence import COLUMNS, Evidence
from napari_cpclnet.propagation.settings import PropagationSettings
from napari_cpclnet.propagation.working_grid import WorkingGrid

SETS = ("abdomen13", "abdomen", "sarcoma", "wide")
VOXELS = 3_000
"""Of each structure."""

DECIDED = 9.0
"""Evidence of shape beyond which nothing is left to decide."""

GREY = [COLUMNS.index(name) for name in ("coarse grey", "fine grey")]
SHAPE = [k for k in range(len(COLUMNS)) if k not in GREY]

Rows = tuple[NDArray[np.float64], NDArray[np.float64]]


def rows(one: Structure, rng: np.random.Generator) -> Rows:
    """Evidence and truth of voxels that are neither clearly in nor clearly out."""
    settings = PropagationSettings()
    array = np.asarray(one.volume.array)
    z, y, x = (float(s) for s in one.volume.geometry.spacing)
    shown = {i: one.mask[i] for i in one.slices}
    reach = extent(list(shown), [], len(array), (z, y, x), radius(shown, (z, y, x)), settings.reach)
    grid = WorkingGrid.around(shown, reach, (z, y, x), settings.working_voxels)
    evidence = Evidence(grid, array, shown, [])
    found, truth = [], []
    for indices in stretches(grid.slices, evidence):
        for part, columns in evidence.columns(indices):
            flat = columns.transpose(0, 2, 3, 1).reshape(-1, len(COLUMNS))
            shape = flat[:, :2].max(1)
            open_voxels = (shape - 1.1 * flat[:, -1] > -DECIDED) & (shape < DECIDED)
            found.append(flat[open_voxels])
            truth.append(np.stack([grid.shrunk(one.mask[i]) for i in part]).ravel()[open_voxels])
    x_all, y_all = np.concatenate(found), np.concatenate(truth)
    chosen = rng.permutation(len(x_all))[:VOXELS]
    return x_all[chosen].astype(np.float64), y_all[chosen].astype(np.float64)


def logistic(
    x: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weights of a logistic regression without intercept, by Newton's method."""
    w = np.zeros(x.shape[1])
    for _ in range(12):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -20, 20)))
        curvature = weight * np.maximum(p * (1 - p), 1e-4)
        hessian = (x * curvature[:, None]).T @ x / weight.sum() + 1e-4 * np.eye(len(w))
        w -= np.linalg.solve(hessian, x.T @ (weight * (p - y)) / weight.sum() + 1e-4 * w)
    return w


def main() -> None:
    data = Path(
        os.environ.get("CPCLNET_TEST_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data")
    )
    rng = np.random.default_rng(0)
    groups: list[str] = []
    found: list[Rows] = []
    for one in structures(data, SETS):
        if one.set == "abdomen CT":  # among the 13 structures
            continue
        groups.append(one.set)
        found.append(rows(one, rng))
    counts = Counter(groups)
    x, y = (np.concatenate([r[k] for r in found]) for k in (0, 1))
    weight = np.concatenate(
        [np.full(len(r[1]), 1 / len(r[1]) / np.sqrt(counts[g])) for g, r in zip(groups, found, strict=True)]
    )
    of = np.concatenate([np.full(len(r[1]), g) for g, r in zip(groups, found, strict=True)])

    def show(name: str, w: NDArray[np.float64], columns: list[int]) -> None:
        print(f"{name:28}", "  ".join(f"{COLUMNS[k]} {v:+.2f}" for k, v in zip(columns, w, strict=True)))

    every = list(range(len(COLUMNS)))
    print(f"{len(groups)} structures, {len(y)} voxels")
    show("in use", np.array([WEIGHTS[c] for c in COLUMNS]), every)
    show("all sets", logistic(x, y, weight), every)
    show("all sets, shapes alone", logistic(x[:, SHAPE], y, weight), SHAPE)
    for group in counts:
        kept = of != group
        show(f"without {group}", logistic(x[kept], y[kept], weight[kept]), every)


if __name__ == "__main__":
    main()
