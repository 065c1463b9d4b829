"""A mapping that forgets what was not used for longest, for what is large or slow to make."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LastUsed(OrderedDict[K, V]):
    """Mapping of the ``most`` items that were set or looked up last.

    >>> kept: LastUsed[str, int] = LastUsed(2)
    >>> kept["a"], kept["b"] = 1, 2
    >>> kept["a"]
    1
    >>> kept["c"] = 3
    >>> sorted(kept)
    ['a', 'c']
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __getitem__(self, key: K) -> V:
        value = super().__getitem__(key)
        self.move_to_end(key)
        return value

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        while len(self) > self._most:
            self.popitem(last=False)
