"""Device and weights of a run in words, with advice where the machine could do better. No Qt."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_cpclnet.segmentation.settings import RunSettings


@dataclass(frozen=True)
class Ready:
    """The network is loaded: on which device, with which weights."""

    device: str
    weights: str


@dataclass(frozen=True)
class Note:
    """What the user should know of the machine, in one sentence."""

    text: str


class DeviceStatus:
    """Tells what is new about device and memory since it was asked last; advice on the device comes first."""

    def __init__(self, segmenter: Any, options: RunSettings) -> None:
        self._segmenter = segmenter
        self._options = options
        self._told: set[Ready | Note] = set()

    def changes(self) -> Iterator[Ready | Note]:
        """Device and weights, and a sentence where the machine is not what it could be."""
        device, weights = describe(self._segmenter, self._options)
        notes = list(getattr(self._segmenter, "notes", ()))
        if device == "CPU" and self._options.device == "auto" and not self._told:
            notes.append(_unused_gpu())
        found: list[Ready | Note] = [Ready(device, weights), *(Note(text) for text in notes if text)]
        for one in found:
            if one not in self._told:
                self._told.add(one)
                yield one

    def interleave(self, reports: Generator[Any, None, None]) -> Iterator[Any]:
        """Reports, and the news that come up among them."""
        with closing(reports):
            for report in reports:
                yield report
                yield from self.changes()


def _unused_gpu() -> str:
    from napari_cpclnet.model import unused_gpu

    return unused_gpu()


def describe(segmenter: Any, options: RunSettings) -> tuple[str, str]:
    """Device and weights of a Segmenter in words for the status line."""
    here = options.scheduler is None
    device = device_words(str(getattr(segmenter, "device", options.device))) if here else "cluster"
    digest = str(getattr(getattr(segmenter, "model", None), "metadata", {}).get("hash", "untrained"))[:12]
    return device, f"weights {digest}"


def device_words(device: str) -> str:
    """A torch device in words."""
    return {"cpu": "CPU", "mps": "Apple GPU"}.get(device, device.upper())
