"""How much memory is in use, in a word or two for the status line. No Qt, and no torch unless it is there already."""

from __future__ import annotations

import sys
from typing import Any

GIB = 1 << 30


def memory_words() -> str:
    """Memory of this process as ``1.4 GiB``, and that of the GPU where the network has some; empty if unknown."""
    parts = [_gib(_resident())]
    if gpu := _on_gpu(sys.modules.get("torch")):
        parts.append(f"GPU {_gib(gpu)}")
    return ", ".join(part for part in parts if part)


def _resident() -> int:
    try:
        import psutil  # comes with napari
    except ImportError:
        return 0
    return int(psutil.Process().memory_info().rss)


def _on_gpu(torch: Any) -> int:
    cuda = getattr(torch, "cuda", None)  # a half-imported torch, in another thread, has none yet
    try:
        if cuda is None or not cuda.is_initialized():
            return 0
        return int(sum(cuda.memory_reserved(i) for i in range(cuda.device_count())))
    except (AttributeError, RuntimeError):
        return 0


def _gib(n: int) -> str:
    return f"{n / GIB:.1f} GiB" if n else ""
