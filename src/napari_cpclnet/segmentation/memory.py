"""Out-of-memory handling: fewer slices at once, at last the CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

FEWER = "The memory does not suffice for so many slices at once: fewer are taken, which is slower."
ON_CPU = "The memory of the GPU does not suffice for this network: the CPU goes on, which is slower."
_BATCH = {"mps": 4, "cuda": 8}
_CPU_PIXELS = 2**17
_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")


def slices_at_once(device: torch.device, size: tuple[int, int]) -> int:
    """How many slices of `size` (H, W) a device should compute with at once.

    A CPU should have enough to do that waking its threads costs little beside it, and so little that answers come often
    and a cancelled run ends soon.
    """
    height, width = size
    return _BATCH.get(device.type) or max(1, _CPU_PIXELS // (height * width))


class MemoryGuard:
    """Works through a batch in parts that fit.

    A part that does not fit is halved, and no larger one is tried again. When a single slice does not fit, the work
    moves to the CPU and goes on there.

    Parameters
    ----------
    device : torch.device
        Where the work is done.
    to_cpu : callable
        Moves everything to the CPU.

    Attributes
    ----------
    notes : list of str
        What was done about it, each sentence once.
    """

    def __init__(self, device: torch.device, to_cpu: Callable[[], None]) -> None:
        self.notes: list[str] = []
        self._device = device
        self._to_cpu = to_cpu
        self._most: int | None = None

    def run(self, work: Callable[[int, int], T], count: int) -> list[T]:
        """Results of ``work(first, end)`` for consecutive parts of ``count`` slices, in their order.

        Raises
        ------
        MemoryError, RuntimeError
            What ``work`` raised, if it was not for memory or nothing more can be done about it.
        """
        done: list[T] = []
        first = 0
        while first < count:
            end = min(count, first + (self._most or count))
            try:
                done.append(work(first, end))
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or not self._can_give_way(end - first):
                    raise
            else:
                first = end
                continue
            # Here and not above: the exception's frames hold the very tensors that are too many.
            self._give_way(end - first)
        return done

    def _can_give_way(self, size: int) -> bool:
        return size > 1 or self._device.type != "cpu"

    def _give_way(self, size: int) -> None:
        if size > 1:
            self._most = size // 2
            self._note(FEWER)
        else:
            self._most = None
            self._to_cpu()
            self._device = torch.device("cpu")
            self._note(ON_CPU)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on whatever device."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return any(sign in str(error).lower() for sign in _SIGNS)


def moved(value: Any, device: torch.device) -> Any:
    """A tensor, or a dataclass of tensors and such dataclasses, on a device; itself if it is there already."""
    if isinstance(value, Tensor):
        return value.to(device)
    if is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: getattr(value, f.name) for f in fields(value)}
        there = {name: moved(part, device) for name, part in parts.items()}
        return value if all(there[name] is parts[name] for name in parts) else replace(value, **there)
    return value
