"""Scans of other patients, with a network that recognises nothing: what is found there was carried over."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.model import CPCLNet
from napari_cpclnet.model.weights import load_prior_decoder
from napari_cpclnet.preprocessing import ModelGrid, PreprocessingSettings
from napari_cpclnet.registration import RegistrationSettings
from napari_cpclnet.registration.run import Registration
from napari_cpclnet.segmentation import (
    PostprocessingSettings,
    SegmentationSettings,
    Segmenter,
    SupportSet,
    alignment,
    postprocess,
)
from napari_cpclnet.segmentation.alignment import Alignment, _Carried, _voted, can_align
from napari_cpclnet.segmentation.boxed import Boxed
from napari_cpclnet.segmentation.fusion import trust_in
from napari_cpclnet.segmentation.recognition import found_again

CLASSES = {3: "nameless"}


def patient(seed: int, shift: float, brightness: float) -> tuple[Volume, np.ndarray]:
    """A body with a bright and a dark organ, somewhat moved, in its own grey values."""
    rng = np.random.default_rng(seed)
    shape, spacing = (24, 72, 80), (5.0, 3.0, 3.0)
    z, y, x = np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij")
    body = ((y - 108) / 85) ** 2 + ((x - 120) / 100) ** 2 < 1
    organ = ((z - 60 - shift) / 36) ** 2 + ((y - 100 - shift) / 34) ** 2 + ((x - 80) / 40) ** 2 < 1
    other = ((z - 60) / 45) ** 2 + ((y - 120) / 30) ** 2 + ((x - 165) / 25) ** 2 < 1
    spine = (y - 165) ** 2 + (x - 120) ** 2 < 15**2
    grey = 40.0 * body + 60 * organ * brightness - 25 * other + 90 * spine
    grey += rng.normal(0, 4, shape)
    return Volume(grey.astype(np.float32), Geometry(shape, spacing), name=f"patient {seed}"), organ


@pytest.fixture(autouse=True)
def coarse(monkeypatch) -> None:
    """Registrations of a second or two."""

    def settings(**chosen) -> RegistrationSettings:
        return RegistrationSettings(points=20_000, iterations=40, **chosen)

    monkeypatch.setattr(alignment, "RegistrationSettings", settings)


@pytest.fixture(scope="module")
def support() -> SupportSet:
    volume, organ = patient(0, 0.0, 1.0)
    support = SupportSet(CLASSES)
    support.add(volume, 3 * organ.astype(np.uint8), slices=[6, 9, 12, 15, 18], plane="axial")
    return support


def test_what_has_no_name_is_carried_to_another_patient(support) -> None:
    query, truth = patient(1, 8.0, 0.8)
    segmenter = Segmenter(CPCLNet(), SegmentationSettings(device="cpu", self_support=False))
    segmenter.set_support(support)
    reports = list(segmenter.predict(query, start_slice=12))
    done = [r.done for r in reports]
    assert done == sorted(done)
    assert done[-1] == reports[-1].total == 3 * 24
    assert {r.index for r in reports if r.pass_number == 2} == {12}, "the slice in view, until all is aligned"
    found = segmenter.result().labels == 3
    overlap = 2 * np.count_nonzero(found & truth) / (np.count_nonzero(found) + np.count_nonzero(truth))
    assert overlap > 0.85
    (one,) = segmenter.summary().classes
    assert not one.seems_absent
    assert segmenter.run_of(query).means == ("alignment",)


def test_closing_while_scans_are_aligned_keeps_what_the_network_found(support) -> None:
    query, _ = patient(2, 4.0, 1.0)
    segmenter = Segmenter(CPCLNet(), SegmentationSettings(device="cpu", self_support=False))
    segmenter.set_support(support)
    reports = segmenter.predict(query)
    for report in reports:
        if report.pass_number == 2:
            break
    reports.close()
    assert not segmenter.has_run(query)
    assert segmenter.result().labels.shape == query.array.shape


def test_a_pair_of_scans_is_registered_once_and_what_registers_is_made_once(support, monkeypatch) -> None:
    registered, made = [], []
    run, make = Registration.run, alignment.Registrar
    monkeypatch.setattr(Registration, "run", lambda self: (registered.append(1), run(self))[1])
    monkeypatch.setattr(alignment, "Registrar", lambda *a: (made.append(1), make(*a))[1])
    first, second = patient(3, 4.0, 1.0)[0], patient(5, 2.0, 1.0)[0]
    segmenter = Segmenter(CPCLNet(), SegmentationSettings(device="cpu", self_support=False))
    for query in (first, first, second, first):
        segmenter.set_support(support)
        for _ in segmenter.predict(query):
            pass
    assert len(registered) == 2 and len(made) == 1


def test_quick_runs_and_flat_pictures_are_not_aligned(support) -> None:
    query, _ = patient(4, 0.0, 1.0)
    segmenter = Segmenter(CPCLNet(), SegmentationSettings(device="cpu", self_support=False, align=False))
    segmenter.set_support(support)
    assert len(list(segmenter.predict(query))) == 24
    assert not can_align(support, Volume(query.array[:1], Geometry((1, 72, 80), (5.0, 3.0, 3.0))))
    assert can_align(support, query)


def test_trust_grows_from_one_limit_to_the_other() -> None:
    assert [trust_in(v, (0.5, 0.75)) for v in (0.4, 0.5, 0.625, 0.9)] == [0, 0, 0.5, 1]
    assert [trust_in(v, (0.6, 0.4)) for v in (0.7, 0.5, 0.2, np.inf)] == [0, pytest.approx(0.5), 1, 0]


def test_the_better_aligned_support_has_the_last_word() -> None:
    first, second = np.zeros((2, 4, 4), np.uint8), np.zeros((2, 4, 4), np.uint8)
    first[0], second[1] = 3, 3
    one, other = Boxed.around(first), Boxed.around(second)
    carried = [_Carried(one, {3: 0.5}, {3: 1.0}), _Carried(other, {3: 0.1}, {3: 1.0})]
    assert np.array_equal(_voted(3, carried, first.shape).whole(), second == 3)
    nowhere = [_Carried(one, {3: np.inf}, {3: np.inf})]
    assert not _voted(3, nowhere, first.shape).whole().any()


def test_two_of_three_supports_that_are_aligned_alike_are_the_majority() -> None:
    maps = np.zeros((3, 2, 4, 4), np.uint8)
    maps[0, :, :2], maps[1, :, 1:3], maps[2, 0, 2:] = 3, 3, 3
    carried = [_Carried(Boxed.around(one), {3: 0.2}, {3: 1.0}) for one in maps]
    assert np.array_equal(_voted(3, carried, maps.shape[1:]).whole(), (maps == 3).sum(0) >= 2)


def test_a_network_that_recognises_nothing_is_not_asked(support) -> None:
    segmenter = Segmenter(CPCLNet(), SegmentationSettings(device="cpu"))
    segmenter.set_support(support)
    again = found_again(
        support,
        lambda one: segmenter.scan(one.volume, one.plane),
        lambda features: segmenter._foreground(features, segmenter._descriptors),
        0.6,
    )
    assert len(again.again) == 1 and again.again[0] < 0.5
    assert isinstance(Alignment(load_prior_decoder()), Alignment)


def test_classes_of_several_pieces_are_known_and_keep_them() -> None:
    labels = np.zeros((6, 20, 20), np.uint8)
    labels[1:5, 2:8, 2:8] = 1
    labels[1:5, 12:18, 2:8] = 1
    labels[1:5, 2:8, 12:18] = 2
    labels[1, 15, 15] = 2  # a crumb
    assert alignment.several_pieces(labels) == {1}
    volume = Volume(np.zeros(labels.shape, np.float32), Geometry(labels.shape))
    grid = ModelGrid.for_volume(volume, "axial", PreprocessingSettings())
    tidy = postprocess(labels, volume, grid, PostprocessingSettings(), several={1})
    assert np.array_equal(tidy == 1, labels == 1)
    assert np.count_nonzero(tidy == 2) == 4 * 36
