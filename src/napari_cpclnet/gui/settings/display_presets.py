"""Display presets: window and colours by modality, as set on napari's preferences page.

The defaults are those of reading rooms; they stand once more in the manifest, which draws the page from them, and a
test keeps the two alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_cpclnet.gui.settings.preferences import page

# Level and width in HU.
CT_WINDOWS = {
    "soft tissue": (40.0, 400.0),
    "liver": (60.0, 160.0),
    "lung": (-600.0, 1500.0),
    "bone": (400.0, 1800.0),
    "brain": (40.0, 80.0),
}
# CT stored in 8 bits: 0 and 255 are these values.
HU8_RANGE = (-125.0, 275.0)
# SUV shown as black, and percentiles shown as the two ends of the scale, to choose from.
SUV_RANGES = (5.0, 10.0, 20.0)
PERCENTILES = ((5.0, 95.0), (0.1, 99.9))


@dataclass(frozen=True)
class DisplayPresets:
    """Windows and colours by modality.

    Parameters
    ----------
    ct_window
        Name of the window in which a CT opens.
    ct_windows
        Level and width in HU by name.
    pet_maximum
        SUV shown as black (or as white, if it is not inverted).
    pet_inverted
        Show PET dark on white.
    percentiles
        Percentiles shown as black and white where the unit says nothing, as in MR.
    """

    ct_window: str = "soft tissue"
    ct_windows: dict[str, tuple[float, float]] = field(default_factory=lambda: dict(CT_WINDOWS))
    pet_maximum: float = 10.0
    pet_inverted: bool = True
    percentiles: tuple[float, float] = (1.0, 99.0)

    def limits(self, array: Any, unit: str) -> tuple[float, float]:
        """Values shown as the two ends of the grey scale, of an array (z, y, x) in a unit."""
        if unit == "SUVbw":
            return 0.0, self.pet_maximum
        if unit == "HU8":
            return 0.0, 255.0  # its window was chosen when it was stored
        if unit == "HU":
            return ct_limits(self.ct_windows.get(self.ct_window, CT_WINDOWS["soft tissue"]), unit)
        return _percentiles(array, self.percentiles)

    def choices(self, array: Any, modality: str, unit: str) -> dict[str, tuple[float, float]]:
        """Windows to choose from by name, of an array (z, y, x) of a modality in a unit."""
        found: dict[str, tuple[float, float]] = {}
        if unit in ("HU", "HU8"):
            found |= {name.capitalize(): ct_limits(window, unit) for name, window in self.ct_windows.items()}
        elif unit == "SUVbw":
            ranges = sorted({*SUV_RANGES, self.pet_maximum})
            found |= {f"SUV 0 to {high:g}": (0.0, high) for high in ranges}
        else:
            low, high = self.percentiles
            found[f"Usual ({low:g} to {high:g} %)"] = self.limits(array, unit)
            for low, high in PERCENTILES:
                found[f"{low:g} to {high:g} %"] = _percentiles(array, (low, high))
        found["All values"] = _extremes(array)
        return found

    def colormap(self, modality: str) -> str:
        """Name of napari's colormap for a modality."""
        return "gray_r" if modality == "PT" and self.pet_inverted else "gray"


def ct_limits(window: tuple[float, float], unit: str) -> tuple[float, float]:
    """Values at the ends of a window of a level and a width in HU, in HU or as stored in 8 bits."""
    level, width = window
    low, high = level - width / 2, level + width / 2
    if unit == "HU8":
        bottom, top = HU8_RANGE
        return (low - bottom) * 255 / (top - bottom), (high - bottom) * 255 / (top - bottom)
    return low, high


def limits_of(window: tuple[float, float], unit: str) -> tuple[float, float]:
    """Values at the ends of a window of a level and a width: those of CT in HU, others in the unit of the values."""
    return ct_limits(window, unit if unit == "HU8" else "HU")


def level_and_width(limits: tuple[float, float], unit: str) -> tuple[float, float]:
    """Level and width of a window, the other way round than `limits_of`."""
    low, high = limits
    if unit == "HU8":
        bottom, top = HU8_RANGE
        low, high = (bottom + value * (top - bottom) / 255 for value in (low, high))
    return (low + high) / 2, high - low


def presets() -> DisplayPresets:
    """What is set on the preferences page; the defaults where napari is too old to have one."""
    return from_page(page("display"))


def from_page(values: Any) -> DisplayPresets:
    """Presets from the values of the preferences page; a value that makes no sense counts as not set."""
    usual = DisplayPresets()
    windows = {
        name: _window(getattr(values, f"window_{name.replace(' ', '_')}", "")) or window
        for name, window in CT_WINDOWS.items()
    }
    low = float(getattr(values, "percentile_low", usual.percentiles[0]))
    high = float(getattr(values, "percentile_high", usual.percentiles[1]))
    maximum = float(getattr(values, "pet_maximum", usual.pet_maximum))
    return DisplayPresets(
        ct_window=str(getattr(values, "ct_window", usual.ct_window)),
        ct_windows=windows,
        pet_maximum=maximum if maximum > 0 else usual.pet_maximum,
        pet_inverted=bool(getattr(values, "pet_inverted", usual.pet_inverted)),
        percentiles=(low, high) if 0 <= low < high <= 100 else usual.percentiles,
    )


def _window(text: str) -> tuple[float, float] | None:
    """Level and width from text like ``-600 / 1500``."""
    match = re.fullmatch(r"\s*(-?\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)\s*", str(text))
    if match is None or float(match[2]) <= 0:
        return None
    return float(match[1]), float(match[2])


def _percentiles(array: Any, percentiles: tuple[float, float]) -> tuple[float, float]:
    """Values at percentiles of some 64 x 64 x 64 voxels of an array (z, y, x), which may lie in files."""
    steps = tuple(slice(None, None, max(1, n // 64)) for n in array.shape)
    low, high = np.percentile(np.asarray(array[steps], dtype=np.float32), percentiles)
    return (float(low), float(high)) if high > low else (float(low), float(low) + 1.0)


def _extremes(array: Any) -> tuple[float, float]:
    """Lowest and highest value of an array (z, y, x); of some of its voxels if it lies in files."""
    if not isinstance(array, np.ndarray):
        return _percentiles(array, (0.0, 100.0))
    low, high = float(array.min()), float(array.max())
    return (low, high) if high > low else (low, low + 1.0)
