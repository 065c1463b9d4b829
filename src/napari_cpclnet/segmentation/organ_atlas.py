"""Organ atlas: where in the body an organ usually lies, from its name."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from napari_cpclnet.imaging.terminology import Terminology

TABLE = Path(__file__).with_name("organ_atlas.yaml")

LEVELS: NDArray[np.float64] = np.linspace(-0.5, 1.4, 20)
"""Levels of the table's columns: 0 is the iliac crest, 1 the dome of the liver."""


def presence_prior(name: str, levels: NDArray[np.floating]) -> NDArray[np.float64] | None:
    """How well slices usually show an organ.

    Parameters
    ----------
    name : str
        Any name that the terminology knows, such as "Left kidney" or "oesophagus".
    levels : ndarray (n,)
        Levels of slices in the body; nan where unknown.

    Returns
    -------
    ndarray (n,) or None
        0 (not at all) to 1 (well); None if the name is unknown or no level is known. Measured on phantoms.
    """
    known = np.isfinite(levels)
    profile = _profile(name)
    if profile is None or not known.any():
        return None
    return np.where(known, np.interp(np.nan_to_num(levels), LEVELS, profile), 0.0)


@cache
def _profile(name: str) -> NDArray[np.float64] | None:
    term = Terminology()[name]
    if not term.known:
        return None
    side = "" if term.side is None else f"{term.side.meaning.lower()} "
    for organ in (side + term.type.meaning, term.type.meaning):
        if organ.lower() in _table():
            return _table()[organ.lower()]
    return None


@cache
def _table() -> dict[str, NDArray[np.float64]]:
    content = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return {str(organ): np.asarray(values, np.float64) / 100 for organ, values in content.items()}
