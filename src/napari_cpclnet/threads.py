"""Cores and threads: how many cores this process may use, how many torch takes, and how its threads wait. No torch.

torch computes with OpenMP, whose threads wait for work by spinning. That is fastest for who has the machine alone, and
ruinous for several programs on the same cores: threads that only wait take the time of those that have work. The
package therefore lets them sleep, and gives them several slices at once to work on, so that waking them costs little.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_USERS_CHOICE = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_V1_FOLDERS = ("cpu", "cpu,cpuacct", "cpuacct,cpu")

_left_free = 0


def sleep_while_waiting() -> None:
    """Let OpenMP's threads wait asleep, here and in processes started from here, unless the user said otherwise.

    OpenMP reads this when torch is loaded. GNU's (torch on Linux), LLVM's (macOS) and Intel's (Windows) obey the same
    variable; ``GOMP_SPINCOUNT`` and ``KMP_BLOCKTIME``, where a user has set them, go before it.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def usable_cores() -> int:
    """Cores this process may use: the fewest of the machine's, its affinity's and its container's quota.

    Of a quota of part of a core the part counts as one: 1.5 cores are two half-busy ones.
    """
    counts = [os.cpu_count() or 1]
    if hasattr(os, "sched_getaffinity"):
        counts.append(len(os.sched_getaffinity(0)))
    quota = cgroup_cores()
    if quota is not None:
        counts.append(math.ceil(quota))
    return max(1, min(counts))


def cgroup_cores(own: Path = _OWN_CGROUPS, mounted: Path = _CGROUPS) -> float | None:
    """Cores' worth of time that the control groups of this process allow, or None where they set no limit.

    Parameters
    ----------
    own : Path
        File that lists the groups of this process.
    mounted : Path
        Folder of all groups. A container may see its own group there under another path than `own` says, often at the
        top; so the limits of all groups above count, too.
    """
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return None
    limits = [limit for line in lines for limit in _limits(line, mounted)]
    return min(limits, default=None)


def _limits(line: str, mounted: Path) -> Iterator[float]:
    """Limits of one line ``number:controllers:path`` and of the groups above it."""
    number, _, rest = line.partition(":")
    controllers, _, path = rest.partition(":")
    if number == "0" and not controllers:
        folders, read = [mounted], _v2_limit
    elif "cpu" in controllers.split(","):
        folders, read = [mounted / name for name in _V1_FOLDERS], _v1_limit
    else:
        return
    names = [name for name in path.split("/") if name not in ("", "..")]
    for folder in folders:
        for depth in range(len(names) + 1):
            try:
                limit = read(folder.joinpath(*names[:depth]))
            except (OSError, ValueError):  # no such group here, or no limit of this kind
                continue
            if limit > 0:
                yield limit


def _v2_limit(group: Path) -> float:
    quota, period = (group / "cpu.max").read_text(encoding="utf-8").split()
    return int(quota) / max(1, int(period))  # "max" is no number: no limit


def _v1_limit(group: Path) -> float:
    quota, period = (
        int((group / name).read_text(encoding="utf-8")) for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    )
    return quota / max(1, period)  # -1 is no limit


def leave_free(cores: int) -> None:
    """Keep cores from torch, where there are more than these: a window lives in this process, and must answer."""
    global _left_free
    _left_free = cores
    share_cores()


def share_cores() -> None:
    """Give torch, if it is loaded, no more threads than there are usable cores less those left free, but at least one.

    By itself torch counts the machine's cores and knows of no quota. Nothing is changed where the user set
    ``OMP_NUM_THREADS`` or ``MKL_NUM_THREADS``, nor where ``torch.set_num_threads`` asked for fewer; whatever is set
    later stays.
    """
    torch: Any = sys.modules.get("torch")
    # a torch that is being imported in another thread has no such function yet; whoever imports it calls this, too
    if not hasattr(torch, "set_num_threads") or any(os.environ.get(name) for name in _USERS_CHOICE):
        return
    most = max(1, usable_cores() - _left_free)
    if torch.get_num_threads() > most:
        torch.set_num_threads(most)


def one_thread() -> None:
    """Let torch compute in one thread: the first call in a worker process, one of as many as there are cores."""
    import torch

    torch.set_num_threads(1)


@contextmanager
def in_one_thread() -> Iterator[None]:
    """Let torch compute in one thread meanwhile, so that not even a last bit depends on how many it has."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
