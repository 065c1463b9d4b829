"""Which maps of the network the pictures of a result are made of, and the pictures. No Qt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from napari_cpclnet.gui.layers.overlays import Picture

if TYPE_CHECKING:
    import numpy as np

MOST_BYTES = 1 << 30
"""The probabilities of all classes of a scan take no more; where they would, those of the likeliest class are shown."""
TOO_LARGE = "Many classes on a large scan: Probability shows the likeliest class alone, to spare memory."


def maps_for(kinds: Sequence[str], n_classes: int, n_voxels: int) -> tuple[str, ...]:
    """Names of the maps, as :class:`~napari_cpclnet.cluster.Wanted` has them, for pictures of these kinds."""
    each = n_classes > 1 and n_classes * n_voxels <= MOST_BYTES
    of_kind = {"probability": "probabilities" if each else "likeliest", "uncertainty": "uncertainty"}
    return tuple(of_kind[kind] for kind in kinds)


def pictures_of(maps: Mapping[str, np.ndarray], values: Iterable[int]) -> Iterator[Picture]:
    """Pictures of maps by their names; the probabilities are those of the classes with these label values."""
    for name, found in maps.items():
        if name == "probabilities":
            yield from (Picture("probability", one, v) for v, one in zip(sorted(values), found, strict=True))
        else:
            yield Picture("uncertainty" if name == "uncertainty" else "probability", found)
