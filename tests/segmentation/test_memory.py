"""Running out of memory: fewer slices at once, then the CPU, the same labels in the end."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_cpclnet.segmentation import PostprocessingSettings, SegmentationSettings, Segmenter, SupportSet
from napari_cpclnet.segmentation.memory import FEWER, ON_CPU, MemoryGuard, is_out_of_memory, moved

RAW = PostprocessingSettings(largest_component=False, fill_holes=False)


class Room:
    """Memory of so many slices, unlimited after `to_cpu`."""

    def __init__(self, slices):
        self.slices = slices
        self.tried = []

    def use(self, count):
        self.tried.append(count)
        if self.slices is not None and count > self.slices:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    def to_cpu(self):
        self.slices = None


def guarded(room, device="cuda"):
    guard = MemoryGuard(torch.device(device), room.to_cpu)

    def work(first, end):
        room.use(end - first)
        return list(range(first, end))

    return guard, work


def test_all_parts_come_in_order_and_none_twice():
    room = Room(3)
    guard, work = guarded(room)
    assert [index for part in guard.run(work, 16) for index in part] == list(range(16))
    assert guard.notes == [FEWER]


def test_what_did_not_fit_is_not_tried_again():
    room = Room(2)
    guard, work = guarded(room)
    guard.run(work, 8)
    room.tried.clear()
    guard.run(work, 8)
    assert room.tried == [2, 2, 2, 2]


def test_when_one_slice_does_not_fit_the_cpu_takes_all_at_once():
    room = Room(0)
    guard, work = guarded(room)
    assert guard.run(work, 4) == [[0, 1, 2, 3]]
    assert guard.notes == [FEWER, ON_CPU]
    guard.run(work, 4)
    assert guard.notes == [FEWER, ON_CPU]


def test_a_full_cpu_is_an_error():
    guard, work = guarded(Room(0), "cpu")
    with pytest.raises(RuntimeError, match="out of memory"):
        guard.run(work, 4)


def test_other_errors_are_not_taken_for_it():
    room = Room(None)
    guard, _ = guarded(room)
    with pytest.raises(RuntimeError, match="shapes"):
        guard.run(lambda *_: (_ for _ in ()).throw(RuntimeError("shapes cannot be multiplied")), 4)
    assert guard.notes == []


@pytest.mark.parametrize(
    "text",
    [
        "MPS backend out of memory (MPS allocated: 9.00 GB)",
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_words_of_every_device_are_known(text):
    assert is_out_of_memory(RuntimeError(text))
    assert not is_out_of_memory(RuntimeError("no kernel image is available"))


class Cramped(torch.nn.Module):
    """The stand-in network on a device with little memory."""

    def __init__(self, model, room):
        super().__init__()
        self.inner, self.room, self.metadata = model, room, {}

    def encode(self, images, levels=None):
        self.room.use(len(images))
        return self.inner.encode(images, levels)

    def describe(self, features, masks, same_scan=None):
        return self.inner.describe(features, masks, same_scan)

    def segment(self, features, descriptors):
        self.room.use(len(features.grid))
        return self.inner.segment(features, descriptors)

    def to(self, *args, **kwargs):
        if self.room.tried:  # not when the Segmenter is made
            self.room.to_cpu()
        return super().to(*args, **kwargs)


@pytest.mark.parametrize(("slices", "notes"), [(None, ()), (3, (FEWER,)), (0, (FEWER, ON_CPU))])
def test_labels_are_the_same_however_little_memory_there_is(grey_model, scan, organs, slices, notes):
    support = SupportSet(organs)
    volume, painted = scan()
    support.add(volume, painted, slices=[4, 5, 6, 7])
    query, _ = scan(seed=3)
    plain = Segmenter(
        grey_model, SegmentationSettings(device="cpu", self_support=False, align=False, postprocessing=RAW)
    )
    room = Room(slices)
    settings = SegmentationSettings(
        device="cpu", self_support=False, align=False, batch_size=8, postprocessing=RAW
    )
    cramped = Segmenter(Cramped(grey_model, room), settings)
    # A pretended GPU: everything is on the CPU all the time, but the guard may still flee there.
    cramped._memory = MemoryGuard(torch.device("cuda"), cramped._to_cpu)
    labels = []
    for segmenter in (plain, cramped):
        segmenter.set_support(support)
        assert len(list(segmenter.predict(query))) == query.array.shape[0]
        labels.append(segmenter.result().labels)
    np.testing.assert_array_equal(*labels)
    assert labels[0].any()
    assert cramped.notes == notes


def test_moving_keeps_what_is_there_already():
    from napari_cpclnet.model import Features

    features = Features(
        torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 8, 8), torch.zeros(1), torch.zeros(1, 3, 16, 16)
    )
    assert moved(features, torch.device("cpu")) is features
    assert moved([1], torch.device("cpu")) == [1]
    assert moved(features, torch.device("meta")).skip.device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_real_gpu_that_is_full_hands_over_to_the_cpu(scan, organs):
    from napari_cpclnet.model import CPCLNet, CPCLNetSettings

    torch.manual_seed(0)
    model = CPCLNet(CPCLNetSettings(channels=16, skip_channels=8, latent_channels=8, blocks=1))
    volume, painted = scan()
    support = SupportSet(organs)
    support.add(volume, painted, slices=[5])
    query, _ = scan(seed=3)
    segmenter = Segmenter(
        model,
        SegmentationSettings(
            device="cuda", precision="fp32", self_support=False, align=False, postprocessing=RAW
        ),
    )
    segmenter.set_support(support)
    slices = segmenter.predict(query)
    next(slices)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-6)
    try:
        rest = list(slices)
        again = list(segmenter.predict(query))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert segmenter.device.type == "cpu"
    assert segmenter.notes[-1] == ON_CPU
    assert len(rest) == len(again) - 1
