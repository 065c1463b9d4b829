"""A packed copy of a label map, to see later which voxels somebody changed. No Qt."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

_LEVEL = 1  # labels shrink a hundredfold at the fastest level already


@dataclass(frozen=True, eq=False)
class LabelSnapshot:
    """Labels (z, y, x), each slice along z packed by itself with its checksum; ``checksum``: CRC-32 of all of them.

    Whoever asks what changed unpacks those slices alone whose checksum is another.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    slices: tuple[tuple[int, bytes], ...]
    checksum: int

    @classmethod
    def empty(cls, shape: tuple[int, ...], dtype: np.dtype) -> LabelSnapshot:
        """Labels of a scan on which nothing is found yet; quick, however large it is."""
        one = cls.of(np.zeros((1, *shape[1:]), dtype))
        whole = 0
        for _ in range(shape[0]):
            whole = zlib.crc32(np.zeros(shape[1:], dtype).data, whole)
        return cls(shape, one.dtype, one.slices * shape[0], whole)

    @classmethod
    def of(cls, labels: np.ndarray) -> LabelSnapshot:
        """Pack labels."""
        packed, whole = [], 0
        for one in labels:
            raw = np.ascontiguousarray(one)
            packed.append((zlib.crc32(raw.data), zlib.compress(raw.data, _LEVEL)))
            whole = zlib.crc32(raw.data, whole)
        return cls(labels.shape, labels.dtype, tuple(packed), whole)

    def __getitem__(self, index: int) -> np.ndarray:
        """Slice along z."""
        return np.frombuffer(zlib.decompress(self.slices[index][1]), self.dtype).reshape(self.shape[1:])

    def changed(self, labels: np.ndarray) -> list[int]:
        """Slices that differ from those of ``labels``, which has the same shape."""
        if labels.dtype != self.dtype:
            return [index for index, one in enumerate(labels) if not np.array_equal(one, self[index])]
        return [
            index
            for index, (one, (checksum, _)) in enumerate(zip(labels, self.slices, strict=True))
            if zlib.crc32(np.ascontiguousarray(one).data) != checksum
        ]

    def labels(self) -> np.ndarray:
        """All of them."""
        return np.stack([self[index] for index in range(len(self.slices))])


@dataclass(frozen=True, eq=False)
class PackedMask:
    """A set of voxels of a label map, a packed mask for each slice along z that has any."""

    masks: dict[int, bytes]

    @classmethod
    def of(cls, mask: np.ndarray) -> PackedMask:
        """Pack a mask (z, y, x)."""
        packed = {i: zlib.compress(np.packbits(one).data, _LEVEL) for i, one in enumerate(mask) if one.any()}
        return cls(packed)

    @classmethod
    def from_text(cls, texts: Mapping[int, str], shape: tuple[int, ...]) -> PackedMask:
        """What `text` gave, for labels of a shape; ValueError if it is something else."""
        size = -(-int(np.prod(shape[1:])) // 8)
        masks = {}
        for index, text in texts.items():
            packed = base64.b64decode(text, validate=True)
            try:
                found = zlib.decompressobj().decompress(packed, size + 1)
            except zlib.error as error:
                raise ValueError(str(error)) from error
            if len(found) != size or not 0 <= index < shape[0]:
                raise ValueError(f"slice {index} has another size")
            masks[index] = packed
        return cls(masks)

    def without(self, masks: Mapping[int, np.ndarray]) -> PackedMask:
        """All but those of some masks, by slice along z."""
        kept = dict(self.masks)
        for index, mask in masks.items():
            if index in kept:
                left = self.mask(index, mask.shape) & ~mask
                kept[index] = zlib.compress(np.packbits(left).data, _LEVEL)
                if not left.any():
                    del kept[index]
        return PackedMask(kept)

    def text(self) -> dict[int, str]:
        """The same in letters, for a file."""
        return {index: base64.b64encode(packed).decode() for index, packed in self.masks.items()}

    def mask(self, index: int, shape: tuple[int, ...]) -> np.ndarray:
        """Mask of a slice that has any of the voxels."""
        bits = np.frombuffer(zlib.decompress(self.masks[index]), np.uint8)
        return np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape).astype(bool)


def checksum(labels: np.ndarray) -> int:
    """Short fingerprint of an array, to see later whether anyone changed it."""
    return zlib.crc32(np.ascontiguousarray(labels).data)
