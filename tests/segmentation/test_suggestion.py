"""Which slice to paint next."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_cpclnet.errors import SupportError
from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.segmentation import SegmentationSettings, Segmenter, SupportSet, suggest
from napari_cpclnet.segmentation.organ_atlas import LEVELS, presence_prior
from napari_cpclnet.segmentation.suggestion import rank
from napari_cpclnet.segmentation.suggestion_evidence import SuggestionEvidence, gather

N = 40


def evidence(**changes) -> SuggestionEvidence:
    """A scan of 40 slices of 5 mm from below the iliac crest to above the liver; "a" is found on slices 10 to 29."""
    places = np.arange(N)
    extent = np.where((places >= 10) & (places < 30), 100.0, 0.0)[:, None]
    plain = SuggestionEvidence(
        names=("a",),
        painted=(),
        known=np.array([True]),
        typical=np.array([100.0]),
        expected_area=extent,
        expected_errors=np.zeros((N, 1)),
        positions=5.0 * places,
        levels=np.linspace(-0.2, 1.2, N),
        visible=np.ones(N, bool),
        similarity=np.ones((N, N)),
    )
    return replace(plain, **changes)


def test_a_class_that_is_nowhere_painted_comes_first_at_the_level_where_it_usually_lies():
    base = evidence()
    both = evidence(
        names=("a", "Left kidney"),
        known=np.array([True, False]),
        typical=np.array([100.0, 0.0]),
        expected_area=np.hstack([base.expected_area, np.zeros((N, 1))]),
        expected_errors=np.hstack([np.where(base.expected_area > 0, 20.0, 0), np.zeros((N, 1))]),
        painted=(20,),
    )
    first, second, *_ = rank(both, 3)
    assert 0.2 <= both.levels[first.index] <= 0.55
    assert "left kidney, which no painted slice shows yet" in first.reason.lower()
    assert "kidney" not in second.reason.lower()


def test_one_slice_that_shows_two_new_organs_goes_before_one_that_shows_one():
    """Spleen from 0.5 to 0.85, kidneys from 0.2 to 0.6: they overlap at 0.55."""
    names = ("spleen", "left kidney", "right kidney")
    nothing = np.zeros((N, 3))
    found = rank(
        evidence(
            names=names,
            known=np.zeros(3, bool),
            typical=np.zeros(3),
            expected_area=nothing,
            expected_errors=nothing,
        ),
        1,
    )
    assert 0.45 <= evidence().levels[found[0].index] <= 0.62


def test_unknown_names_are_looked_for_on_slices_unlike_the_painted_ones():
    places = np.arange(N)
    similarity = (places[:, None] < 25) == (places[None] < 25)
    odd = evidence(
        names=("a", "thing 7"),
        known=np.array([True, False]),
        typical=np.array([100.0, 0.0]),
        expected_area=np.hstack([evidence().expected_area, np.zeros((N, 1))]),
        expected_errors=np.zeros((N, 2)),
        painted=(20,),
        similarity=similarity.astype(float),
    )
    (found,) = rank(odd, 1)
    assert found.index >= 25
    assert "unlike all painted slices" in found.reason


def test_the_doubtful_slice_goes_first_and_says_so():
    doubt = np.zeros((N, 1))
    doubt[24] = 60
    (found,) = rank(evidence(expected_errors=doubt, painted=(15,)), 1)
    assert found.index == 24
    assert found.reason == "The network is unsure about the a here."


def test_without_doubt_slices_spread_over_the_extent_of_the_class():
    found = sorted(s.index for s in rank(evidence(), 3))
    assert all(10 <= index < 30 for index in found)
    assert min(np.diff(found)) >= 5


def test_a_class_that_gets_lost_between_painted_slices_is_seen_though_nobody_doubts():
    lost = evidence().expected_area.copy()
    lost[20:24] = 0
    (found,) = rank(evidence(expected_area=lost, painted=(12, 17, 27)), 1)
    assert 19 <= found.index <= 24
    assert "lost" in found.reason


def test_a_class_painted_elsewhere_and_hardly_found_here_is_looked_for_where_it_lies():
    little = np.zeros((N, 1))
    little[2] = 3
    (found,) = rank(evidence(names=("liver",), expected_area=little), 1)
    assert 0.5 <= evidence().levels[found.index] <= 0.95
    assert "hardly found" in found.reason


def test_painted_and_empty_slices_are_never_suggested_and_scores_fall():
    visible = np.ones(N, bool)
    visible[20:] = False
    found = rank(evidence(painted=(12, 13), visible=visible), N)
    assert {s.index for s in found} == set(range(20)) - {12, 13}
    assert found[0].score >= max(s.score for s in found)
    assert all(0 <= s.score <= 1 and s.reason.endswith(".") for s in found)
    assert rank(evidence(visible=np.zeros(N, bool)), 3) == ()


@pytest.mark.parametrize("name", ["Liver", "right kidney", "kidney_left", "Oesophagus", "spleen"])
def test_usual_places_are_known_by_any_name_of_the_terminology(name):
    places = presence_prior(name, LEVELS)
    assert places.max() > 0.8 and places.min() == 0
    assert presence_prior(name, np.full(3, np.nan)) is None


def test_the_spleen_lies_above_the_kidneys():
    spleen, kidney = (LEVELS[presence_prior(n, LEVELS).argmax()] for n in ("spleen", "left kidney"))
    assert kidney < spleen < 1
    assert presence_prior("my special region", LEVELS) is None


@pytest.fixture
def segmenter(grey_model, scan, organs):
    volume, labels = scan()
    support = SupportSet(organs)
    support.add(volume, labels, slices=[5])
    segmenter = Segmenter(grey_model, SegmentationSettings(device="cpu", self_support=False, align=False))
    segmenter.grey_scan = volume, labels
    return segmenter, support


def featured(model, monkeypatch):
    """The stand-in's features as a channel, as the network's are."""
    monkeypatch.setattr(
        "napari_cpclnet.segmentation.suggestion_evidence._picture", lambda f: f.grid.flatten().numpy()
    )


def test_a_scan_without_a_painted_slice_gets_suggestions_from_the_support_of_another(
    segmenter, scan, grey_model, monkeypatch
):
    featured(grey_model, monkeypatch)
    segmenter, support = segmenter
    segmenter.set_support(support)
    query, truth = scan(seed=3)
    found = suggest(segmenter, query, count=3)
    assert len(found) == 3
    assert truth[found[0].index].any()


def test_the_slices_painted_on_the_scan_are_not_suggested_again(segmenter, scan, grey_model, monkeypatch):
    featured(grey_model, monkeypatch)
    segmenter, support = segmenter
    segmenter.set_support(support)
    volume, _ = scan()
    found = {s.index for s in suggest(segmenter, volume, painted=[6], count=50)}
    assert found == set(range(12)) - {5, 6}


def test_a_prediction_that_is_there_is_used(segmenter, scan, grey_model, monkeypatch):
    featured(grey_model, monkeypatch)
    segmenter, support = segmenter
    segmenter.set_support(support)
    query, _ = scan(seed=3)
    for _ in segmenter.predict(query):
        pass
    grey_model.segmented.clear()
    suggest(segmenter, query)
    assert not grey_model.segmented
    other, _ = scan(seed=4)
    suggest(segmenter, other)
    assert sum(grey_model.segmented) == 12
    volume, labels = scan()
    support.add(volume, labels, slices=[7])
    segmenter.set_support(support)
    suggest(segmenter, other)
    assert sum(grey_model.segmented) == 24


def test_classes_that_are_wanted_but_not_painted_count(segmenter, scan, grey_model, monkeypatch):
    featured(grey_model, monkeypatch)
    segmenter, support = segmenter
    segmenter.set_support(support)
    query, _ = scan(seed=3)
    found = gather(segmenter, query, classes={1: "liver", 3: "spleen", 9: "aorta"})
    assert found.names == ("liver", "spleen", "aorta")
    assert found.known.tolist() == [True, True, False]
    assert found.expected_area[:, 0].sum() > 0 and not found.expected_area[:, 2].any()


def test_before_anything_is_painted_names_are_enough(segmenter, scan, grey_model, monkeypatch):
    featured(grey_model, monkeypatch)
    segmenter, _ = segmenter
    query, _ = scan(seed=3)
    with pytest.raises(SupportError, match="name the classes"):
        suggest(segmenter, query)
    assert len(suggest(segmenter, query, classes={1: "liver"})) == 5


def test_areas_are_compared_in_millimetres(segmenter, scan, grey_model, monkeypatch):
    featured(grey_model, monkeypatch)
    segmenter, support = segmenter
    segmenter.set_support(support)
    volume, labels = scan()
    fine = Volume(volume.array, Geometry(volume.array.shape, (5.0, 1.5, 1.5)), "CT", "HU")
    area = np.count_nonzero(labels[5] == 1)
    assert gather(segmenter, volume).typical[0] == pytest.approx(area)
    assert gather(segmenter, fine).typical[0] == pytest.approx(4 * area)


@pytest.mark.slow
def test_the_bundled_network_is_asked_for_a_slice_that_shows_the_organ_that_is_missing():
    """A phantom whose kidneys are painted on a slice below the spleen."""
    from napari_cpclnet.model import load_weights
    from napari_cpclnet.phantoms.demo import demo_scan

    volume, truth = demo_scan("MR", [0, 1], every=2)
    value = {name: v for v, name in truth.classes.items()}
    shows = {name: (truth.labels == v).any((1, 2)) for name, v in value.items()}
    lowest = int(np.flatnonzero(shows["spleen"])[0])
    kidneys = np.flatnonzero(shows["left kidney"] & (np.arange(len(truth.labels)) < lowest))
    support = SupportSet(truth.classes)
    support.add(volume, truth.labels, slices=[int(kidneys[-2])])
    segmenter = Segmenter(load_weights(), SegmentationSettings(device="cpu"))
    segmenter.set_support(support)
    (found,) = suggest(segmenter, volume, count=1)
    assert shows["spleen"][found.index]
    assert "spleen" in found.reason
