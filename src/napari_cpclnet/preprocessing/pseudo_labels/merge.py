"""Merge the regions of a slice that look alike: the smallest cost first, on the graph of neighbours."""

from __future__ import annotations

import heapq
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.intp]


def merge_regions(
    regions: Labels,
    grey: NDArray[np.float32],
    detail: NDArray[np.float32],
    *,
    distance: float,
    texture_weight: float,
    reference_area: float,
    minimum_area: float,
) -> Labels:
    """Merge neighbouring regions by grey value and texture.

    The cost of a merge is that of Ward (1963): the distance of the two regions times the square root of
    ``a b / (a + b)``, in reference areas. So crumbs go easily, and large regions only if they are alike. The
    grey value of a region is its mean, its texture the root mean square of what a blur takes away.

    Parameters
    ----------
    regions : ndarray (h, w) of int
        Connected regions 1 to n; 0 is background and is never merged.
    grey, detail : ndarray (h, w) of float32
        The blurred picture in [0, 1], and what the blur took away.
    distance : float
        Greatest cost of a merge.
    texture_weight : float
        What a difference of texture counts against one of grey value.
    reference_area : float
        Area of a typical region, in pixels.
    minimum_area : float
        Smaller regions are merged with the most similar neighbour whatever the cost, in pixels.

    Returns
    -------
    ndarray (h, w) of int
        Regions 1 to m in reading order; each is a union of the regions given, and connected.
    """
    graph = _Graph(regions, grey, detail, texture_weight, reference_area)
    graph.merge_alike(distance)
    graph.merge_small(minimum_area)
    return renumbered(graph.parent[regions])


def renumbered(regions: NDArray[Any]) -> Labels:
    """Number regions 1 to n in reading order; 0 stays 0."""
    flat = regions.ravel()
    first = np.full(int(flat.max(initial=0)) + 1, flat.size)
    first[flat[::-1]] = np.arange(flat.size)[::-1]  # of several writes the last one stays: the first pixel
    first[0] = -1
    order = np.argsort(first, kind="stable")
    new = np.empty(len(first), np.intp)
    new[order] = np.arange(len(first))
    return np.asarray(new[regions])


def neighbour_pairs(regions: NDArray[Any]) -> Labels:
    """Pairs (n, 2) of regions that share a side of a pixel, the smaller number first; without background."""
    one = np.concatenate([regions[:, :-1].ravel(), regions[:-1].ravel()]).astype(np.intp)
    other = np.concatenate([regions[:, 1:].ravel(), regions[1:].ravel()]).astype(np.intp)
    differ = (one != other) & (one > 0) & (other > 0)
    low, high = np.minimum(one[differ], other[differ]), np.maximum(one[differ], other[differ])
    count = int(regions.max(initial=0)) + 1
    return np.stack(np.divmod(np.unique(low * count + high), count), axis=1)


class _Graph:
    """Regions, their sums, and who touches whom."""

    def __init__(
        self,
        regions: Labels,
        grey: NDArray[np.float32],
        detail: NDArray[np.float32],
        texture_weight: float,
        reference_area: float,
    ) -> None:
        flat, n = regions.ravel(), int(regions.max()) + 1
        # lists: single numbers are read and written far more quickly than in arrays
        self.area: list[float] = np.bincount(flat, minlength=n).astype(np.float64).tolist()
        self._grey: list[float] = np.bincount(flat, grey.ravel(), n).tolist()
        self._power: list[float] = np.bincount(flat, np.square(detail, dtype=np.float64).ravel(), n).tolist()
        self._texture_weight = texture_weight
        self._reference = reference_area
        self.parent = np.arange(n)
        self._members: list[list[int]] = [[region] for region in range(n)]
        self._version = [0] * n
        self._near: list[set[int]] = [set() for _ in range(n)]
        for a, b in neighbour_pairs(regions).tolist():
            self._near[a].add(b)
            self._near[b].add(a)

    def merge_alike(self, most: float) -> None:
        """Merge the cheapest pair again and again while it costs at most `most`."""
        heap = [(self._cost(a, b), a, b, 0, 0) for a, near in enumerate(self._near) for b in near if b > a]
        heapq.heapify(heap)
        while heap and heap[0][0] <= most:
            _, a, b, age_a, age_b = heapq.heappop(heap)
            if (self._version[a], self._version[b]) != (age_a, age_b):
                continue  # one of the two has grown or gone since
            kept = self._merge(a, b)
            for other in self._near[kept]:
                low, high = sorted((kept, other))
                entry = (self._cost(low, high), low, high, self._version[low], self._version[high])
                heapq.heappush(heap, entry)

    def merge_small(self, minimum_area: float) -> None:
        """Merge regions smaller than `minimum_area` with their most similar neighbour, the smallest first."""
        heap = [(self.area[a], a, 0) for a in range(1, len(self.area)) if self._members[a]]
        heap = [(area, a, self._version[a]) for area, a, _ in heap if area < minimum_area]
        heapq.heapify(heap)
        while heap:
            _, a, age = heapq.heappop(heap)
            if self._version[a] != age or not self._near[a]:
                continue
            nearest = min(self._near[a], key=lambda b: (self._distance(a, b), b))
            kept = self._merge(a, nearest)
            if self.area[kept] < minimum_area:
                heapq.heappush(heap, (self.area[kept], kept, self._version[kept]))

    def _merge(self, a: int, b: int) -> int:
        """Join two neighbours under the number of the one with more members."""
        kept, gone = (a, b) if len(self._members[a]) >= len(self._members[b]) else (b, a)
        for sums in (self.area, self._grey, self._power):
            sums[kept] += sums[gone]
        self.parent[self._members[gone]] = kept
        self._members[kept] += self._members[gone]
        self._members[gone] = []
        for other in self._near[gone]:
            self._near[other].discard(gone)
            if other != kept:
                self._near[other].add(kept)
                self._near[kept].add(other)
        self._near[gone] = set()
        self._version[kept] += 1
        self._version[gone] += 1
        return kept

    def _distance(self, a: int, b: int) -> float:
        grey = self._grey[a] / self.area[a] - self._grey[b] / self.area[b]
        texture = math.sqrt(self._power[a] / self.area[a]) - math.sqrt(self._power[b] / self.area[b])
        return math.hypot(grey, self._texture_weight * texture)

    def _cost(self, a: int, b: int) -> float:
        area = self.area[a] * self.area[b] / (self.area[a] + self.area[b])
        return self._distance(a, b) * math.sqrt(area / self._reference)
