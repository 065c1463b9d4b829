"""Timing of autosave: soon after the last stroke, and not too late while strokes go on. No Qt."""

from __future__ import annotations

import time
from collections.abc import Callable

QUIET_S = 2.0
LONGEST_S = 7.0


class AutosaveClock:
    """Tells when the next save is due.

    Parameters
    ----------
    quiet
        Seconds after the last change.
    longest
        Seconds after the first change that is not saved yet, however many follow. A save takes a second or two
        beyond it, so that no more than ten seconds of work are ever lost.
    now
        Clock in seconds.
    """

    def __init__(
        self,
        quiet: float = QUIET_S,
        longest: float = LONGEST_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.quiet = quiet
        self.longest = longest
        self._now = now
        self._first: float | None = None
        self._last = 0.0

    def changed(self) -> None:
        """Something was changed."""
        self._last = self._now()
        if self._first is None:
            self._first = self._last

    def begun(self) -> None:
        """A save of everything so far has begun."""
        self._first = None

    @property
    def pending(self) -> bool:
        """Whether something is not saved."""
        return self._first is not None

    def due_in(self) -> float | None:
        """Seconds until the next save; None if there is nothing to save."""
        if self._first is None:
            return None
        return max(0.0, min(self._last + self.quiet, self._first + self.longest) - self._now())
