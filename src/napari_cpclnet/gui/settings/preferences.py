"""Preferences of the plugin on napari's preferences page, except for display. No Qt.

The defaults stand once more in the manifest, which draws the page from them, and a test keeps the two alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_cpclnet.model.settings import Device, Precision
from napari_cpclnet.segmentation.settings import RunSettings
from napari_cpclnet.settings_fields import field_of

PLUGIN = "napari-cpclnet"
GIB = 1 << 30


@dataclass(frozen=True)
class Preferences:
    """What the panel begins with.

    Parameters
    ----------
    device
        Where the network computes.
    precision
        Number format of its large products.
    weights
        Weights file; None: those of the package.
    classes
        Names of classes that are offered first when a class is added.
    autosave
        Whether a project is saved without *Save* being pressed.
    autosave_seconds
        A project is saved at the latest so long after a change.
    lazy_gib
        A DICOM series of more voxels than these (in GiB) stays in its files.
    hint
        Whether the panel says how to begin.
    readers
        Whether files that no other plugin reads are opened without a question.
    """

    device: Device = field_of(RunSettings, "device").default
    precision: Precision = field_of(RunSettings, "precision").default
    weights: Path | None = None
    classes: tuple[str, ...] = ()
    autosave: bool = True
    autosave_seconds: float = 7.0
    lazy_gib: float = 2.0
    hint: bool = True
    readers: bool = True

    def options(self) -> RunSettings:
        """Options of a run with these defaults."""
        return RunSettings(device=self.device, precision=self.precision, weights=self.weights)

    @property
    def lazy_bytes(self) -> int:
        """Bytes of voxels above which a series stays in its files and is read slice by slice as it is looked at."""
        return int(self.lazy_gib * GIB)


def preferences() -> Preferences:
    """What is set now; the defaults where napari is too old to have such a page."""
    return from_pages(page("computing"), page("work"))


def from_pages(computing: Any, work: Any) -> Preferences:
    """Preferences from the values of the two pages; a value that makes no sense counts as not set."""
    usual = Preferences()
    weights = str(getattr(computing, "weights", "")).strip()
    classes = [name.strip() for name in str(getattr(work, "classes", "")).split(",")]
    return Preferences(
        device=_one_of("device", computing),
        precision=_one_of("precision", computing),
        weights=Path(weights).expanduser() if weights else None,
        classes=tuple(dict.fromkeys(name for name in classes if name)),
        autosave=bool(getattr(work, "autosave", usual.autosave)),
        autosave_seconds=_positive(getattr(work, "autosave_seconds", None), usual.autosave_seconds),
        lazy_gib=_positive(getattr(work, "lazy_gib", None), usual.lazy_gib),
        hint=bool(getattr(work, "hint", usual.hint)),
        readers=bool(getattr(work, "readers", usual.readers)),
    )


def page(name: str) -> Any:
    """One page of the plugin's settings, with the values as attributes; None where there are no such pages."""
    try:
        from napari.settings import get_plugin_settings

        return getattr(get_plugin_settings(PLUGIN), name)
    except (ImportError, AttributeError, KeyError):
        return None


def forget_hint() -> None:
    """Do not say again how to begin; napari writes it to its settings."""
    work = page("work")
    if work is not None:
        work.hint = False


def when_changed(action: Callable[[], object]) -> Callable[[], None]:
    """Call an action whenever a value of the pages is changed; returns what ends that."""

    def changed(_event: Any = None) -> None:
        action()

    pages = [one for one in (page("computing"), page("work")) if one is not None]
    for one in pages:
        one.events.connect(changed)

    def end() -> None:
        for one in pages:
            one.events.disconnect(changed)

    return end


def _one_of(name: str, computing: Any) -> Any:
    field = field_of(RunSettings, name)
    value = getattr(computing, name, "")
    return value if value in field.choices else field.default


def _positive(value: Any, usual: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return usual
    return number if number > 0 else usual
