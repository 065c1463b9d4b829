"""Tell CT, MR and PET apart by their grey values, where no tag says it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.imaging.volume import Modality

TAGS: dict[str, Modality] = {"CT": "CT", "MR": "MR", "PT": "PT"}
PREFIX = re.compile(r"^(ct|mri?|pet|pt)(?=\d*(?:[_\-. ]|$))", re.IGNORECASE)
ANYWHERE = re.compile(r"(?:^|[_\-. ])(ct|mri?|pet|pt)(?=\d*(?:[_\-. ]|$))", re.IGNORECASE)

ASSUMED = "Taken as "
"""How the note begins that says that modality and unit are concluded, from the values or the name of the file."""

# Looking at a million voxels is enough for a histogram.
SAMPLE = 1_000_000
# Fewer voxels than this part are outliers: resampling undershoots beside sharp edges.
_SOME = 1e-3


def modality_of_word(word: str) -> Modality:
    """Modality meant by ``ct``, ``mr``, ``mri``, ``pet`` or ``pt``; ``"other"`` for any other word."""
    return TAGS.get({"MRI": "MR", "PET": "PT"}.get(word.upper(), word.upper()), "other")


def name_hint(name: str, *, prefix_only: bool = False) -> Modality:
    """Modality a file name hints at, as in ``CT_001.png`` or ``liver_mr.nii``; ``"other"`` if none."""
    words = (PREFIX if prefix_only else ANYWHERE).findall(name)
    found = {modality_of_word(word) for word in words}
    return found.pop() if len(found) == 1 else "other"


def detect_modality(array: NDArray[Any], *, hint: Modality = "other") -> tuple[Modality, str]:
    """Modality and unit of an array of grey values.

    Hounsfield units reach far below zero, a CT windowed to 8
    bits piles up at both ends with soft tissue in between, SUV are fractions with a long tail, and what is
    left with a range beyond 8 bits and no negative value is MR. ``hint`` (from a file name) only counts where
    the values do not tell.

    Parameters
    ----------
    array
        Grey values of any shape.
    hint
        What the file name hints at.

    Returns
    -------
    tuple
        Modality, and the unit ``"HU"``, ``"HU8"``, ``"SUVbw"`` or empty where it is unknown.
    """
    values = _sample(array)
    if _is_hounsfield(values):
        return "CT", "HU"
    if _is_8bit(values):
        if _is_windowed_ct(values):
            return "CT", "HU8"
        # MR and a CT of an unusual window cannot be told apart in 8 bits.
        return hint, unit_of(hint, values)
    if _is_suv(values):
        return "PT", "SUVbw"
    if hint in ("CT", "PT"):
        return hint, unit_of(hint, values)
    if values.size and values.min() >= 0 and values.max() > 255:
        return "MR", ""
    return hint, ""


def unit_of(modality: Modality, array: NDArray[Any]) -> str:
    """Unit of values whose modality is known: ``"HU"``, ``"HU8"``, ``"SUVbw"``, or empty if unclear."""
    values = _sample(array)
    if modality == "CT" and (_is_hounsfield(values) or _is_window_of_hounsfield(values)):
        return "HU"
    if modality == "CT" and _is_8bit(values):
        return "HU8"
    return "SUVbw" if modality == "PT" and _is_suv(values) else ""


def _sample(array: NDArray[Any]) -> NDArray[Any]:
    flat = array.reshape(-1)
    return flat[:: max(1, flat.size // SAMPLE)]


def has_offset(values: NDArray[Any]) -> bool:
    """Whether a CT's values lie about 1000 above Hounsfield units: tissue near 1000, and next to nothing below air.

    Parameters
    ----------
    values
        Finite grey values of any shape.
    """
    # One lowest value is padding, or where values were clipped.
    above = values[values > values.min(initial=0)] if values.size else values
    if above.size == 0:
        return False
    low, tissue = (float(np.mean((above > a) & (above < b))) for a, b in ((-np.inf, -200), (850, 1300)))
    between = float(np.mean((above > 350) & (above < 700)))
    return low < _SOME and tissue > 0.05 and tissue > between


def values_note(modality: Modality) -> str:
    """The note of a scan whose modality is concluded from its values."""
    return f"{ASSUMED}{modality} because of its values."


def unit_note(modality: Modality, unit: str) -> tuple[str, ...]:
    """A sentence about CT and PET whose unit is unknown."""
    name = {"CT": "Hounsfield units", "PT": "SUV"}.get(modality)
    if name is None or unit:
        return ()
    return (f"The values are not known to be {name}; they are scaled by percentiles.",)


def _is_hounsfield(values: NDArray[Any]) -> bool:
    """Air near -1000 HU and soft tissue around 0 HU; a standardised MR never reaches -200."""
    if values.size == 0 or values.min() > -200:
        return False
    low = float(np.mean(values <= -200))
    tissue = float(np.mean((values > -200) & (values < 300)))
    within = values.max() > 0 and values.min() >= -10000
    return bool(within and low >= _SOME and tissue > 0.02 and not has_offset(values))


def _is_window_of_hounsfield(values: NDArray[Any]) -> bool:
    """A CT clipped to a window around soft tissue: fat and what is darker make up more than a few undershoots."""
    if values.size == 0 or values.min() > -50:
        return False
    dark = float(np.mean(values <= -50))
    tissue = float(np.mean((values > -50) & (values < 300)))
    return bool(dark >= 0.005 and tissue > 0.02 and values.min() >= -10000 and not has_offset(values))


def _is_8bit(values: NDArray[Any]) -> bool:
    if values.size == 0 or values.min() < 0 or values.max() > 255 or values.max() < 64:
        return False
    return values.dtype.kind in "bui" or bool(np.all(values == np.rint(values)))


def _is_windowed_ct(values: NDArray[Any]) -> bool:
    share = np.bincount(np.rint(values).astype(np.int64), minlength=256) / values.size
    # Both ends of a CT window cut: air and lung fall on 0, bone and contrast on 255.
    cut_low = share[0] > 0.35 and share[0] > 10 * share[1:6].mean()
    cut_high = share[255] > 0.002 and share[255] > 8 * share[245:255].mean()
    # Soft tissue (0 to 150 HU) fills the middle of an abdominal window; MR decays from the dark end.
    soft = share[80:180].sum() / max(share[30:255].sum(), 1e-9)
    return bool(cut_low and cut_high and soft > 0.5)


def _is_suv(values: NDArray[Any]) -> bool:
    """Fractions, none negative, body near 1, a few hot voxels far above it."""
    if values.dtype.kind != "f" or values.size == 0 or values.min() < 0 or not 2 <= values.max() <= 300:
        return False
    if np.all(values == np.rint(values)):
        return False
    middle, high = np.percentile(values, (50, 99))
    return bool(middle < 1.5 and 0.3 < high < 30 and values.max() > 1.5 * high)
