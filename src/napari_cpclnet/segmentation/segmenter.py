"""Segmenter: labels of a scan from a support set, slice after slice."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cpclnet.errors import SettingsError, SupportError
from napari_cpclnet.imaging import Plane, Segmentation, Volume
from napari_cpclnet.imaging.planes import Attitude, attitude_of, named_plane, view_of
from napari_cpclnet.imaging.volume import fingerprint
from napari_cpclnet.last_used import LastUsed
from napari_cpclnet.model import CPCLNet, Descriptors, Features, choose_device, choose_precision
from napari_cpclnet.model.weights import load_prior_decoder
from napari_cpclnet.preprocessing import ModelGrid, PreprocessingSettings
from napari_cpclnet.segmentation.alignment import Alignment, can_align, stream_joined
from napari_cpclnet.segmentation.feature_cache import (
    EncodedSlices,
    FeatureCache,
    described_by,
    encoded_support,
    parameters_hash,
)
from napari_cpclnet.segmentation.fixed_labels import Corrections, FixedLabels
from napari_cpclnet.segmentation.fusion import JoinedClass
from napari_cpclnet.segmentation.memory import MemoryGuard, moved, slices_at_once
from napari_cpclnet.segmentation.own_scan import Recognise, enough_to_carry, stream_own_scan
from napari_cpclnet.segmentation.partial_slices import Completion
from napari_cpclnet.segmentation.prediction import PredictionState, SliceResult, chunks, outwards, uncertainty
from napari_cpclnet.segmentation.recognition import found_again, network_logits, slice_probabilities
from napari_cpclnet.segmentation.self_support import pseudo_supports
from napari_cpclnet.segmentation.settings import SegmentationSettings
from napari_cpclnet.segmentation.summary import Summary, summarise_run
from napari_cpclnet.segmentation.support import SupportSet, SupportSlice

_REMEMBERED_SUPPORTS = 4
_REMEMBERED_SCANS = 2  # the one that is painted, and the one that is labelled


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

    Examples
    --------
    >>> import numpy as np
    >>> from napari_cpclnet import Geometry, SegmentationSettings, Segmenter, SupportSet, Volume, load_weights
    >>> volume = Volume(np.random.default_rng(0).normal(0, 50, (3, 32, 32)), Geometry((3, 32, 32), (5.0, 8.0, 8.0)))
    >>> painted = np.zeros((3, 32, 32), np.uint8)
    >>> painted[1, 8:16, 8:16] = 1
    >>> (support := SupportSet({1: "liver"})).add(volume, painted)
    >>> segmenter = Segmenter(load_weights(), SegmentationSettings(device="cpu", align=False))
    >>> segmenter.set_support(support)
    >>> sorted({one.index for one in segmenter.predict(volume)})
    [0, 1, 2]
    """

    def __init__(self, model: CPCLNet, settings: SegmentationSettings | None = None) -> None:
        self.settings = settings or SegmentationSettings()
        self.device = choose_device(self.settings.device)
        self.precision = choose_precision(self.settings.precision, self.device)
        self.model = model.to(self.device).eval()
        self.preprocessing = PreprocessingSettings.model_validate(model.metadata.get("preprocessing", {}))
        self.batch_size = self.settings.batch_size
        self._support: SupportSet | None = None
        self._descriptors: Descriptors | None = None
        self._attitude: Attitude | None = None
        self._remembered: LastUsed[tuple[str, str, bool], Descriptors] = LastUsed(_REMEMBERED_SUPPORTS)
        self._scans: LastUsed[Any, FeatureCache] = LastUsed(_REMEMBERED_SCANS)
        self._run: PredictionState | None = None
        self._alignment: Alignment | None = None
        self._completed = Completion()
        self._memory = MemoryGuard(self.device, self._to_cpu)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done because memory ran out; the CPU may be the `device` since."""
        return tuple(self._memory.notes)

    def configure(self, settings: SegmentationSettings) -> None:
        """Take other settings; what was encoded is kept where device and precision stay.

        Raises
        ------
        DeviceError
            If the device does not exist or cannot do the precision.
        """
        if settings == self.settings:
            return
        device = choose_device(settings.device)
        precision = choose_precision(settings.precision, device)
        if (device, precision) != (self.device, self.precision):
            self._scans.clear()
            self._remembered.clear()
            self.clear_support()
            self.device, self.precision, self.model = device, precision, self.model.to(device)
        self.settings, self.batch_size = settings, settings.batch_size
        self._run = None

    def clear_support(self) -> None:
        """Forget the support that was set."""
        self._support = self._descriptors = self._attitude = None

    def set_support(self, support: SupportSet) -> None:
        """Encode the support, unless this very content was encoded before with these weights.

        Raises
        ------
        SupportError
            If no slice shows a class.
        """
        if not any(s.labels2d.any() for s in support.slices):
            raise SupportError("The support shows no class: paint a class on at least one slice.")
        key = (support.content_hash(), parameters_hash(self.model), self.settings.plane == "auto")
        self._attitude = attitude_of(support.sliced)
        if key not in self._remembered:
            self._remembered[key] = self._describe(support)
        self._descriptors = self._remembered[key]
        self._support = support.copy()  # slices that are added later belong to the next call

    def predict(
        self,
        volume: Volume,
        *,
        start_slice: int | None = None,
        keep_probabilities: bool = False,
        locked: Corrections | None = None,
        align: bool = True,
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
            Keep the probabilities of all slices for :meth:`result_probabilities` (a byte a voxel and class).
        locked : Corrections, optional
            Voxels that were set right in an earlier result: they stay, here and through post-processing. Where a
            slice of the support crosses them, the support's goes before.
        align : bool
            False leaves registration out, whatever the settings say.

        Returns
        -------
        iterator of SliceResult
            Lazy: closing it cancels, and what was finished stays in :meth:`result`. Every slice comes again where there
            is a second pass, and at last after the scans were aligned; meanwhile the slice to begin with is repeated.

        Raises
        ------
        SupportError
            If no support was set.
        SettingsError
            If there is no such slice.
        GeometryError
            If the corrections lie on another grid.
        """
        if self._support is None or self._descriptors is None:
            raise SupportError("There is no support yet: paint and set one before segmenting.")
        grid = (scan := self.scan(volume)).grid
        start = grid.n_slices // 2 if start_slice is None else start_slice
        if not 0 <= start < grid.n_slices:
            raise SettingsError(
                f"'{volume.name}' has no slice {start}: its slices are 0 to {grid.n_slices - 1}."
            )
        if locked is not None:
            locked.check(volume)
        own, others = self._support.painted_on(volume), self._support.elsewhere(volume)
        carries = enough_to_carry(own) or bool(own and not len(others))
        aligns = align and self.settings.align and not carries and can_align(others, volume)
        self._run = run = PredictionState(
            scan,
            FixedLabels.from_slices(own, locked),
            self._support,
            self.settings.threshold,
            keep_probabilities,
            n_passes=1 if carries else 1 + self.settings.self_support + 2 * aligns,
            keep_maps=aligns,
        )
        if carries:
            return stream_own_scan(run, own, start, scan.batch_size, lambda: self._recogniser(run, own))
        return self._stream(run, self._descriptors, start)

    @property
    def support(self) -> SupportSet | None:
        """The support that was set last, as it was then."""
        return self._support

    def run_of(self, volume: Volume) -> PredictionState:
        """The last prediction if it was a complete one of this scan with the present support, or else a new one.

        Raises
        ------
        SupportError
            If no support was set.
        """
        if not self.has_run(volume):
            for _ in self.predict(volume):
                pass
        return self._last()

    def has_run(self, volume: Volume) -> bool:
        """Whether the last prediction was a complete one of this scan with the present support."""
        run = self._run
        return (
            run is not None
            and run.complete
            and run.scan is self.scan(volume)
            and self._support is not None
            and run.support.content_hash() == self._support.content_hash()
        )

    def result(self) -> Segmentation:
        """Labels of the last prediction, post-processed if it was complete; painted slices exactly as painted.

        A cancelled one holds the finished slices as they were yielded, and all corrected voxels.
        """
        run = self._last()
        labels = run.final_labels(self.settings.postprocessing).copy()
        return Segmentation(labels, dict(run.classes), run.volume.geometry, f"{run.volume.name} segmentation")

    def summary(self) -> Summary:
        """Volumes, confidence, uncertain slices of the last prediction, and which classes seem absent.

        Raises
        ------
        SupportError
            If nothing was predicted.
        """
        run = self._last()
        return summarise_run(run, run.final_labels(self.settings.postprocessing))

    def result_uncertainty(self) -> NDArray[np.uint8]:
        """How undecided the last answer is, (z, y, x): 0 where it was certain, 255 where it was a coin toss."""
        return uncertainty(self._last().max_probability)

    def result_probability(self) -> NDArray[np.uint8]:
        """Probability of the likeliest class, (z, y, x); 255 is 1. Of painted and corrected voxels: what they are."""
        return self._last().max_probability

    def result_probabilities(self) -> NDArray[np.uint8]:
        """Probabilities (C, z, y, x) of the last prediction, in the order of the classes' label values; 255 is 1.

        Raises
        ------
        SettingsError
            If they were not kept.
        """
        run = self._last()
        if run.probabilities is None:
            raise SettingsError("The probabilities were not kept: ask for them before segmenting.")
        return run.probabilities

    def _last(self) -> PredictionState:
        if self._run is None:
            raise SupportError("Nothing was segmented yet.")
        return self._run

    def _stream(self, run: PredictionState, descriptors: Descriptors, start: int) -> Iterator[SliceResult]:
        painted = descriptors
        yield from self._pass(run, descriptors, start)
        if self.settings.self_support:
            for place, own in pseudo_supports(run, run.postprocessed(self.settings.postprocessing)):
                descriptors = descriptors.replaced(place, self._describe(own, own.slices))
            run.begin_second_pass()
            yield from self._pass(run, descriptors, start)
        if run.network_maps is not None:
            yield from stream_joined(run, self._join(run, painted), start)

    def _recogniser(self, run: PredictionState, own: Sequence[SupportSlice]) -> Recognise:
        """The network, with a scan's own painted slices among the support."""
        descriptors = self._describe(run.support, own)  # own values tell, too
        return lambda indices: self._probabilities(run, indices, descriptors)

    def _pass(self, run: PredictionState, descriptors: Descriptors, start: int) -> Iterator[SliceResult]:
        for chunk in chunks(list(outwards(start, run.grid.n_slices)), run.scan.batch_size):
            for index, probabilities in zip(chunk, self._probabilities(run, chunk, descriptors), strict=True):
                yield run.add(index, probabilities)

    def _probabilities(
        self, run: PredictionState, indices: Sequence[int], descriptors: Descriptors
    ) -> Iterator[NDArray[np.float32]]:
        return slice_probabilities(run, indices, lambda features: self._foreground(features, descriptors))

    def _foreground(self, features: Sequence[Features], descriptors: Descriptors) -> Tensor:
        """Foreground probabilities (n, C, H, W) in float32, as many slices at once as there is memory for."""

        def answer(first: int, end: int) -> Tensor:
            part = [moved(one, self.device) for one in features[first:end]]
            with self._autocast():
                logits = self.model.segment(type(part[0]).cat(part), moved(descriptors, self.device)).logits
            return logits.float().softmax(2)[:, :, 1]

        return torch.cat(self._memory.run(answer, len(features)))

    def _join(
        self, run: PredictionState, descriptors: Descriptors
    ) -> Generator[float, None, list[JoinedClass]]:
        """What was painted on other scans, carried over and joined with what the network found."""
        if self._alignment is None:
            self._alignment = Alignment(load_prior_decoder())
        recognised = found_again(
            self._completed(run.support),
            lambda one: self.scan(one.volume, one.plane),
            lambda features: self._foreground(features, descriptors),
            run.threshold,
        )
        run.goes_on = tuple(recognised.goes_on)
        return self._alignment.joining(
            run.volume,
            run.grid.axis,
            run.support.elsewhere(run.volume),
            self.model,
            recognised.again,
            partial(network_logits, run),
            self.device,
        )

    def plane_of(self, volume: Volume) -> Plane:
        """The plane in which a scan is sliced: that of the settings; with "auto" that which answers the support's."""
        if self.settings.plane == "auto" and self._support is not None:
            return self._support.plane_of(volume)
        return named_plane(volume.geometry, self.settings.plane)

    def scan(self, volume: Volume, plane: Plane | None = None) -> FeatureCache:
        """Feature cache of a scan, in its plane or another; slices are encoded when they are asked for."""
        like = self._attitude if self.settings.plane == "auto" else None
        view = view_of(volume.geometry, plane or self.plane_of(volume), like)
        key = (fingerprint(volume), view, parameters_hash(self.model))
        if key not in self._scans:
            grid = ModelGrid.for_volume(volume, view, self.preprocessing)
            self._scans[key] = FeatureCache(volume, grid, self._encode)
        scan = self._scans[key]
        scan.batch_size = self.batch_size or slices_at_once(self.device, scan.grid.size)
        return scan

    @torch.inference_mode()
    def _encode(self, images: Tensor, levels: Tensor | None) -> Features:
        def encode(first: int, end: int) -> Features:
            known = None if levels is None else levels[first:end].to(self.device)
            with self._autocast():
                return self.model.encode(images[first:end].to(self.device), known)

        parts: list[Features] = [moved(part, self.device) for part in self._memory.run(encode, len(images))]
        return parts[0] if len(parts) == 1 else type(parts[0]).cat(parts)

    def _to_cpu(self) -> None:
        """Go on without the GPU: the network and all that was encoded move to the CPU."""
        self.device = torch.device("cpu")
        self.precision = choose_precision("auto", self.device)
        self.batch_size = 0  # what was set was set for the GPU
        self.model.to(self.device)
        for scan in self._scans.values():
            scan.move(self.device)
        for key in [*self._remembered]:
            self._remembered[key] = moved(self._remembered[key], self.device)
        self._descriptors = moved(self._descriptors, self.device)

    def encode_support(
        self, support: SupportSet, own: Sequence[SupportSlice] = ()
    ) -> tuple[EncodedSlices, ...]:
        """What the network sees of a support set, `own` of the scan that is asked for; one entry per size of image."""
        return encoded_support(self._completed(support), own, self.scan, self._encode, self.device)

    def _describe(self, support: SupportSet, own: Sequence[SupportSlice] = ()) -> Descriptors:
        """Description of a support set for a scan of which its slices `own` are."""
        groups = self.encode_support(support, own)

        # All slices of the support at once, as one description: when they do not fit, the CPU has to do it.
        def describe(_first: int, _end: int) -> Descriptors:
            here = [moved(group, self.device) for group in groups]
            with torch.inference_mode(), self._autocast():
                return described_by(self.model, here)

        return self._memory.run(describe, 1)[0]

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32)
