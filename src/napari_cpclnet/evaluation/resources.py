"""Time and memory of one prediction."""

from __future__ import annotations

import math
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

_RESET = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


class ResourceUsage:
    """Context manager that measures its block.

    Parameters
    ----------
    device : torch.device
        A CUDA device is measured by its own allocations, everything else by the memory of this process.

    Attributes
    ----------
    seconds : float
    peak_mb : float
        Highest use during the block, in MB (10^6 bytes); since the process began where the system cannot forget an
        earlier peak (all but Linux); nan if it tells nothing.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seconds = 0.0
        self.peak_mb = math.nan

    def __enter__(self) -> Self:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            with suppress(OSError):
                _RESET.write_text("5")
        self._start = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self.seconds = time.perf_counter() - self._start
        if self._device.type == "cuda":
            self.peak_mb = torch.cuda.max_memory_allocated(self._device) / 1e6
        else:
            self.peak_mb = _process_peak_mb()


def _process_peak_mb() -> float:
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return math.nan
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
