"""A scan's own clearest slices describe its classes better than another scan's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.model import CPCLNet, CPCLNetSettings
from napari_cpclnet.segmentation import PostprocessingSettings, SegmentationSettings, Segmenter, SupportSet
from napari_cpclnet.segmentation.self_support import N_PSEUDO_SUPPORTS, most_confident_slices

from .conftest import NearestGrey

RAW = PostprocessingSettings(largest_component=False)
ORGANS = {1: "liver", 3: "spleen"}
SHAPE = (12, 60, 60)
PAINTED = {1: 100.0, 3: 200.0}
"""HU of the organs in the painted scan; the stand-in for the network finds what differs by less than 8 HU."""


@dataclass(frozen=True)
class Greys:
    """Descriptors of the stand-in: the mean grey value of each class."""

    values: Tensor

    def replaced(self, place: int, other: Greys) -> Greys:
        values = self.values.clone()
        values[place] = other.values[0]
        return Greys(values)


class Network(NearestGrey):
    def describe(self, features, masks, same_scan=None):  # type: ignore[no-untyped-def]
        return Greys(super().describe(features, masks))

    def segment(self, query, support):  # type: ignore[no-untyped-def]
        return super().segment(query, support.values)


def scan(liver: list[float] | float, spleen: float | None = 200.0) -> tuple[Volume, np.ndarray]:
    """A body with two blocks; `liver`: HU of each slice."""
    array = np.full(SHAPE, -50, np.float32)
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, 10:30, 10:30] = 1
    array[:, 10:30, 10:30] = np.broadcast_to(liver, SHAPE[0])[:, None, None]
    if spleen is not None:
        labels[:, 40:50, 40:50] = 3
        array[:, 40:50, 40:50] = spleen
    return Volume(array, Geometry(SHAPE, (5.0, 3.0, 3.0)), "CT", "HU", name="scan"), labels


def segmenter(self_support: bool = True) -> Segmenter:
    volume, labels = scan(PAINTED[1])
    support = SupportSet(ORGANS)
    support.add(volume, labels, slices=[5])
    settings = SegmentationSettings(device="cpu", postprocessing=RAW, self_support=self_support, align=False)
    made = Segmenter(Network(), settings)  # type: ignore[arg-type]
    made.set_support(support)
    return made


def found(made: Segmenter, volume: Volume) -> np.ndarray:
    for _ in made.predict(volume):
        pass
    return made.result().labels


DRIFTING = [105.0] * 6 + [111.0] * 6
"""Half of the slices look like the painted liver, the others only like these."""


def test_what_only_resembles_the_scan_itself_is_found_at_second_pass() -> None:
    volume, truth = scan(DRIFTING)
    once, twice = found(segmenter(False), volume), found(segmenter(), volume)
    assert (once[:6] == 1).any() and not (once[6:] == 1).any()
    inside = (slice(None), slice(13, 27), slice(13, 27))
    assert (twice[inside] == truth[inside]).all()


def test_every_slice_comes_twice_and_is_counted_twice() -> None:
    volume, _ = scan(DRIFTING)
    results = list(segmenter().predict(volume, start_slice=3))
    assert [r.done for r in results] == list(range(1, 25))
    assert {r.total for r in results} == {24}
    indices = [r.index for r in results]
    assert indices[:12] == indices[12:] and indices[0] == 3


def test_a_scan_that_was_painted_is_looked_at_once() -> None:
    made = segmenter()
    volume = made.support.slices[0].volume  # type: ignore[union-attr]
    assert len(list(made.predict(volume))) == SHAPE[0]
    assert made.has_run(volume)


def test_a_class_that_was_not_found_keeps_its_painted_support() -> None:
    volume, _ = scan(DRIFTING, spleen=None)
    made = segmenter()
    labels = found(made, volume)
    assert not (labels == 3).any()
    absent = {one.name: one.seems_absent for one in made.summary().classes}
    assert absent == {"liver": False, "spleen": True}


def test_a_run_is_complete_after_the_second_pass_only() -> None:
    volume, _ = scan(DRIFTING)
    made = segmenter()
    stream = made.predict(volume)
    for _ in range(SHAPE[0] + 2):
        next(stream)
    assert not made.has_run(volume)
    stream.close()  # type: ignore[attr-defined]
    assert (made.result().labels == 1).any()


def test_memory_of_the_first_look_says_what_is_absent() -> None:
    """A second look is sure of whatever the first one found."""
    volume, _ = scan(107.9, spleen=None)  # barely found: mostly doubt
    made = segmenter()
    found(made, volume)
    (liver, _spleen) = made.summary().classes
    assert liver.seems_absent


def test_the_clearest_slices_are_large_free_of_doubt_and_apart() -> None:
    area = np.array([10, 100, 100, 100, 100, 100, 20, 0])
    doubt = np.array([0, 50, 5, 4, 6, 90, 0, 0.0])
    even = np.full(8, 0.5)
    assert most_confident_slices(area, doubt, even) == [1, 3, 5]
    assert most_confident_slices(np.zeros(8, int), np.zeros(8), np.zeros(8)) == []
    assert len(most_confident_slices(np.full(100, 50), np.zeros(100), np.full(100, 0.5))) == N_PSEUDO_SUPPORTS


def test_slices_of_another_brightness_than_most_do_not_speak_for_a_class() -> None:
    """A black lung that was taken for the white spleen is larger than it, and on one slice surer."""
    area = np.array([0, 90, 100, 110, 100, 90, 400, 500, 300, 0])
    doubt = np.array([0, 20, 18, 15, 18, 20, 200, 30, 150, 0.0])
    brightness = np.array([0, 0.8, 0.85, 0.84, 0.82, 0.78, 0.1, 0.05, 0.06, 0])
    assert most_confident_slices(area, doubt, brightness) == [1, 3, 5]
    faded = brightness * np.linspace(1.2, 0.8, 10)  # an organ may fade along the scan
    assert most_confident_slices(area, doubt, faded) == [1, 3, 5]


def test_where_all_is_in_doubt_the_brightness_of_most_slices_counts() -> None:
    area, doubt = np.full(5, 10), np.full(5, 15.0)
    assert most_confident_slices(area, doubt, np.array([0.2, 0.2, 0.9, 0.2, 0.2])) == [0, 3]


def test_descriptors_take_another_description_of_one_class() -> None:
    torch.manual_seed(0)
    net = CPCLNet(CPCLNetSettings(channels=16, skip_channels=8, latent_channels=8, blocks=1)).eval()
    with torch.inference_mode():
        images, masks = torch.rand(2, 3, 32, 32), torch.zeros(2, 2, 32, 32)
        masks[0, :, 4:12, 4:12] = masks[1, :, 16:28, 16:28] = 1
        features = net.encode(images)
        both = net.describe([features], [masks])
        own = net.describe([features.select([0])], [masks[1:, :1]])
        query = net.encode(torch.rand(1, 3, 32, 32))
        mixed = net.segment(query, both.replaced(1, own)).logits
        torch.testing.assert_close(mixed[:, 0], net.segment(query, both).logits[:, 0])
        torch.testing.assert_close(mixed[:, 1], net.segment(query, own).logits[:, 0])
        assert not torch.equal(net.segment(query, both).logits[:, 1], mixed[:, 1])
