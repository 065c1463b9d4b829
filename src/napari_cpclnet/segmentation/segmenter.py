"""From a support set and a scan to labels, slice after slice."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cpclnet.errors import SettingsError, SupportError
from napari_cpclnet.imaging import Segmentation, Volume
from napari_cpclnet.model import choose_device, choose_precision
from napari_cpclnet.preprocessing import ModelGrid, Plane, PreprocessingSettings
from napari_cpclnet.segmentation.encoded import EncodedScan, fingerprint
from napari_cpclnet.segmentation.painted import Painted
from napari_cpclnet.segmentation.postprocessing import postprocess
from napari_cpclnet.segmentation.settings import SegmentationSettings
from napari_cpclnet.segmentation.support import SupportSet, SupportSlice

if TYPE_CHECKING:
    from napari_cpclnet.model import CPCLNet, Descriptors, Features

_REMEMBERED_SUPPORTS = 4
_BATCH = {"cpu": 1, "mps": 4, "cuda": 8}
_REMEMBERED_SCANS = 2
"""The scan that is painted, and the one that is labelled."""


@dataclass(frozen=True)
class SliceResult:
    """One segmented slice.

    Parameters
    ----------
    index : int
        Slice along the sliced array axis.
    labels : ndarray (h, w) of unsigned integers
        Label values in array order; painted slices as they were painted.
    probabilities : ndarray (C, h, w) of float32
        Probability of each class, in the order of the classes' label values.
    done, total : int
        Slices finished, and slices in all.
    """

    index: int
    labels: NDArray[Any]
    probabilities: NDArray[np.float32]
    done: int
    total: int


@dataclass(frozen=True)
class EncodedSlices:
    """Painted slices of one size as the network sees them.

    Parameters
    ----------
    images : Tensor, shape (K, 3, H, W)
    masks : Tensor, shape (classes, K, H, W)
        In the order of the classes' label values.
    features : Features
        Of the `K` slices; their levels from the lines of their scans.
    """

    images: Tensor
    masks: Tensor
    features: Features

    @property
    def levels(self) -> Tensor:
        """Levels in the body, (K,)."""
        return self.features.level.clone()  # outside of inference mode

    @staticmethod
    def cat(parts: Sequence[EncodedSlices]) -> EncodedSlices:
        """Join slices of one size."""
        features = type(parts[0].features).cat([p.features for p in parts])
        return EncodedSlices(
            torch.cat([p.images for p in parts]), torch.cat([p.masks for p in parts], 1), features
        )


@dataclass
class _Run:
    """State of one prediction."""

    scan: EncodedScan
    painted: Painted
    classes: dict[int, str]
    labels: NDArray[Any]
    probabilities: NDArray[np.float16] | None
    finished: set[int] = field(default_factory=set)

    @property
    def volume(self) -> Volume:
        return self.scan.volume

    @property
    def grid(self) -> ModelGrid:
        return self.scan.grid

    @property
    def complete(self) -> bool:
        return len(self.finished) == self.grid.n_slices


class Segmenter:
    """Segments scans with one network and one support set.

    Parameters
    ----------
    model : CPCLNet
        The network; moved to the chosen device and set to evaluation mode.
    settings : SegmentationSettings, optional
        Plane, device, precision, threshold and post-processing.

    Raises
    ------
    DeviceError
        If the device does not exist or cannot do the precision.
    """

    def __init__(self, model: CPCLNet, settings: SegmentationSettings | None = None) -> None:
        self.settings = settings or SegmentationSettings()
        self.device = choose_device(self.settings.device)
        self.precision = choose_precision(self.settings.precision, self.device)
        self.model = model.to(self.device).eval()
        self.preprocessing = PreprocessingSettings.model_validate(model.metadata.get("preprocessing", {}))
        self.batch_size = self.settings.batch_size or _BATCH.get(self.device.type, 1)
        self._support: SupportSet | None = None
        self._descriptors: Descriptors | None = None
        self._remembered: OrderedDict[tuple[str, str], Descriptors] = OrderedDict()
        self._scans: OrderedDict[Any, EncodedScan] = OrderedDict()
        self._run: _Run | None = None

    def set_support(self, support: SupportSet) -> None:
        """Encode the support, unless this very content was encoded before with these weights.

        Raises
        ------
        SupportError
            If no slice shows a class.
        """
        if not any(s.labels2d.any() for s in support.slices):
            raise SupportError("The support shows no class: paint a class on at least one slice.")
        key = (support.content_hash(), self._weights_hash())
        if key not in self._remembered:
            self._remembered[key] = self._describe(support)
            while len(self._remembered) > _REMEMBERED_SUPPORTS:
                self._remembered.popitem(last=False)
        self._remembered.move_to_end(key)
        self._descriptors = self._remembered[key]
        # a copy: slices that are added later belong to the next call
        self._support = support.copy()

    def predict(
        self, volume: Volume, *, start_slice: int | None = None, keep_probabilities: bool = False
    ) -> Iterator[SliceResult]:
        """Segment a scan.

        Parameters
        ----------
        volume : Volume
            Any modality. If it is one of the support's scans, its painted slices come out as they were
            painted.
        start_slice : int, optional
            Slice to begin with; then its neighbours, outwards. The middle by default.
        keep_probabilities : bool
            Keep the probabilities of all slices for :meth:`result_probabilities` (2 bytes a voxel and class).

        Returns
        -------
        iterator of SliceResult
            Lazy: closing it cancels, and what was finished stays in :meth:`result`.

        Raises
        ------
        SupportError
            If no support was set.
        SettingsError
            If there is no such slice.
        """
        if self._support is None or self._descriptors is None:
            raise SupportError("There is no support yet: paint and set one before segmenting.")
        scan = self._scan(volume, self.settings.plane)
        grid = scan.grid
        start = grid.n_slices // 2 if start_slice is None else start_slice
        if not 0 <= start < grid.n_slices:
            raise SettingsError(
                f"'{volume.name}' has no slice {start}: its slices are 0 to {grid.n_slices - 1}."
            )
        classes = self._support.classes
        self._run = run = _Run(
            scan=scan,
            painted=Painted.from_slices(self._support.painted_on(volume)),
            classes=classes,
            labels=np.zeros(grid.shape, np.min_scalar_type(max(classes))),
            probabilities=np.zeros((len(classes), *grid.shape), np.float16) if keep_probabilities else None,
        )
        return self._stream(run, self._descriptors, start)

    @property
    def complete(self) -> bool:
        """Whether the last prediction went through all slices."""
        return self._run is not None and self._run.complete

    def result(self) -> Segmentation:
        """Labels of the last prediction.

        Post-processed if it was complete; a cancelled one holds the finished slices as they were yielded.
        Painted slices are exactly as painted.

        Raises
        ------
        SupportError
            If nothing was predicted.
        """
        run = self._last()
        if run.complete:
            labels = postprocess(run.labels, run.volume, run.grid, self.settings.postprocessing, run.painted)
        else:
            labels = run.labels.copy()
        return Segmentation(labels, dict(run.classes), run.volume.geometry, f"{run.volume.name} segmentation")

    def result_probabilities(self) -> NDArray[np.float16]:
        """Probabilities (C, z, y, x) of the last prediction, in the order of the classes' label values.

        Raises
        ------
        SettingsError
            If they were not kept.
        """
        run = self._last()
        if run.probabilities is None:
            raise SettingsError("The probabilities were not kept: ask for them before segmenting.")
        return run.probabilities

    def _last(self) -> _Run:
        if self._run is None:
            raise SupportError("Nothing was segmented yet.")
        return self._run

    def _stream(self, run: _Run, descriptors: Descriptors, start: int) -> Iterator[SliceResult]:
        order = list(outwards(start, run.grid.n_slices))
        for first in range(0, len(order), self.batch_size):
            chunk = order[first : first + self.batch_size]
            for index, probabilities in zip(chunk, self._probabilities(run, chunk, descriptors), strict=True):
                labels = self._decide(probabilities, list(run.classes), run.labels.dtype)
                run.painted.apply_to_slice(labels, run.grid.axis, index)
                run.grid.put(run.labels, index, labels)
                if run.probabilities is not None:
                    for kept, one in zip(run.probabilities, probabilities, strict=True):
                        run.grid.put(kept, index, one.astype(np.float16))
                run.finished.add(index)
                yield SliceResult(index, labels, probabilities, len(run.finished), run.grid.n_slices)

    def _decide(self, probabilities: NDArray[np.float32], values: Sequence[int], dtype: Any) -> NDArray[Any]:
        """Most probable class where it reaches the threshold, (h, w)."""
        best = probabilities.argmax(0)
        certain = probabilities.max(0) >= self.settings.threshold
        return np.where(certain, np.asarray(values)[best], 0).astype(dtype)

    def _probabilities(
        self, run: _Run, indices: list[int], descriptors: Descriptors
    ) -> list[NDArray[np.float32]]:
        """Class probabilities (C, h, w) of slices; painted ones are certain, empty ones hold nothing."""
        values = np.asarray(list(run.classes))
        found = np.zeros((len(indices), len(values), *run.grid.slice_shape), np.float32)
        open_places = []
        for place, index in enumerate(indices):
            painted = run.painted.slice(run.grid.axis, index)
            if painted is None:
                open_places.append(place)
            else:
                found[place] = painted[None] == values[:, None, None]
        encoded = run.scan.features([indices[place] for place in open_places])
        asked = [(place, one) for place, one in zip(open_places, encoded, strict=True) if one is not None]
        if asked:
            with torch.inference_mode():
                features = [one for _, one in asked]
                foreground = self._foreground(type(features[0]).cat(features), descriptors)
                found[[place for place, _ in asked]] = run.grid.to_native(foreground).cpu().numpy()
        return list(found)

    def _foreground(self, features: Features, descriptors: Descriptors) -> Tensor:
        """Foreground probability (n, C, H, W) in float32."""
        with self._autocast():
            logits = self.model.segment(features, descriptors).logits
        return logits.float().softmax(2)[:, :, 1]

    def _scan(self, volume: Volume, plane: Plane) -> EncodedScan:
        """A scan in the eyes of this network; what was encoded of the last scans is kept."""
        key = (fingerprint(volume), plane, self._weights_hash())
        if key not in self._scans:
            grid = ModelGrid.for_volume(volume, plane, self.preprocessing)
            self._scans[key] = EncodedScan(volume, grid, self._encode, self.batch_size)
            while len(self._scans) > _REMEMBERED_SCANS:
                self._scans.popitem(last=False)
        self._scans.move_to_end(key)
        return self._scans[key]

    @torch.inference_mode()
    def _encode(self, images: Tensor) -> Features:
        with self._autocast():
            return self.model.encode(images.to(self.device))

    def encode_support(self, support: SupportSet) -> tuple[EncodedSlices, ...]:
        """What the network sees of a support set, and its features; one entry per size of its images."""
        scans: dict[tuple[int, str], list[SupportSlice]] = {}
        for one in support.slices:
            scans.setdefault((id(one.volume), one.plane), []).append(one)
        groups: dict[tuple[int, int], list[EncodedSlices]] = {}
        for slices in scans.values():
            scan = self._scan(slices[0].volume, slices[0].plane)
            indices = [s.index for s in slices]
            features = [
                one
                or self._encode(
                    scan.grid.images(scan.volume, [index])
                )  # a slice without anything teaches, too
                for index, one in zip(indices, scan.features(indices), strict=True)
            ]
            masks = [
                torch.stack([scan.grid.mask(s.labels2d, value) for value in support.classes]) for s in slices
            ]
            one_scan = EncodedSlices(
                scan.grid.images(scan.volume, indices).to(self.device),
                torch.stack(masks, 1).to(self.device),
                type(features[0]).cat(features),
            )
            groups.setdefault(scan.grid.size, []).append(one_scan)
        return tuple(
            EncodedSlices.cat(parts) for _, parts in sorted(groups.items(), key=lambda item: item[0])
        )

    def _describe(self, support: SupportSet) -> Descriptors:
        groups = self.encode_support(support)
        with torch.inference_mode(), self._autocast():
            return self.model.describe([g.features for g in groups], [g.masks for g in groups])

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32)

    def _weights_hash(self) -> str:
        """Hash of the parameters themselves: adaptation changes them under the same file name."""
        digest = hashlib.sha256()
        for value in self.model.state_dict().values():
            digest.update(value.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
        return digest.hexdigest()


def uncertainty(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """How undecided the network is about its best class.

    Parameters
    ----------
    probabilities : ndarray (C, ...)
        Of one slice or a whole scan.

    Returns
    -------
    ndarray (...) of float32
        0 where the best class has probability 0 or 1, 1 where it has 0.5.
    """
    best = probabilities.max(0).astype(np.float32)
    return np.asarray(1 - np.abs(2 * best - 1), np.float32)


def outwards(start: int, count: int) -> Iterator[int]:
    """All of 0 to `count` - 1, nearest to `start` first: start, start + 1, start - 1, ..."""
    yield start
    for distance in range(1, count):
        for index in (start + distance, start - distance):
            if 0 <= index < count:
                yield index
