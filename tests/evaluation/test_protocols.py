"""Which pairs and which slices: chosen from the supports alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cpclnet.errors import ImageError
from napari_cpclnet.evaluation import EvaluationSettings, tasks
from napari_cpclnet.evaluation.protocols import (
    LegacyPart,
    choose_slices,
    fold_cases,
    legacy_parts,
    organ_extent,
    same_direction,
    slab,
)
from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.imaging.cases import Case, patient_folds

from .doubles import SHAPE, Table, save


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, ...]:
    table = Table(tmp_path_factory.mktemp("table"))
    for seed, patient in enumerate(("ann", "bob", "cid")):
        table.add(patient, "CT", seed=seed).add(patient, "MR", seed=seed + 1)
    return table.add("dan", "MR", spleen=False).cases()


def honest(**changes: object) -> EvaluationSettings:
    return EvaluationSettings(**{"shots": (3,), **changes})


def test_one_shot_is_the_slice_with_the_largest_area() -> None:
    assert choose_slices([0, 3, 9, 12, 12, 1, 0], 1) == (3,)


def test_more_shots_lie_at_the_middles_of_equal_parts_of_the_extent() -> None:
    areas = [0] * 10 + [5] * 20 + [0] * 7
    assert choose_slices(areas, 5) == (12, 16, 20, 24, 28)
    assert choose_slices(areas, 3) == (13, 20, 26)
    assert choose_slices(areas, 2) == (15, 25)


def test_a_slice_in_a_gap_of_the_organ_is_replaced_by_the_nearest_that_shows_it() -> None:
    assert choose_slices([4, 4, 0, 0, 0, 0, 0, 4, 4, 4], 3) == (1, 7, 8)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(1, 9))
def test_chosen_slices_are_distinct_and_show_the_organ(areas: list[int], shots: int) -> None:
    chosen = choose_slices(areas, shots)
    assert len(set(chosen)) == len(chosen) == min(shots, np.count_nonzero(areas))
    assert list(chosen) == sorted(chosen)
    assert all(areas[i] for i in chosen)


def test_every_query_gets_a_support_of_another_patient_from_every_modality(cases: tuple[Case, ...]) -> None:
    found = list(tasks(cases, honest()))
    assert all(t.support.patient != t.query.patient for t in found)
    # seven queries, two organs, two support modalities
    assert len(found) == 7 * 2 * 2
    pairs = {(t.support.modality, t.query.modality) for t in found}
    assert pairs == {("CT", "CT"), ("CT", "MR"), ("MR", "CT"), ("MR", "MR")}
    assert all(t.shots == 3 == len(t.slices) and len(t.classes) == 1 for t in found)


def test_a_scan_without_the_organ_is_a_query_for_it_but_no_support(cases: tuple[Case, ...]) -> None:
    found = [t for t in tasks(cases, honest(supports=9)) if t.organ == "spleen"]
    assert any(t.query.patient == "dan" for t in found)
    assert all(t.support.patient != "dan" for t in found)


def test_modalities_can_be_chosen(cases: tuple[Case, ...]) -> None:
    found = list(tasks(cases, honest(from_modality="CT", to_modality="MR")))
    assert {(t.support.modality, t.query.modality) for t in found} == {("CT", "MR")}
    assert len(found) == 4 * 2


def test_supports_are_drawn_with_the_seed_and_more_of_them_keep_the_first(cases: tuple[Case, ...]) -> None:
    one, again = list(tasks(cases, honest())), list(tasks(cases, honest()))
    assert one == again
    two = list(tasks(cases, honest(supports=2)))
    assert [t for t in two if t.support_index == 0] == one
    assert len({t.key for t in two}) == len(two)
    drawn = {tuple(t.support.patient for t in tasks(cases, honest(seed=seed))) for seed in range(6)}
    assert len(drawn) > 1


def test_keys_do_not_change_when_the_table_grows(cases: tuple[Case, ...]) -> None:
    settings = honest(supports=9)
    few = {t.key for t in tasks(cases[:4], settings)}
    assert few <= {t.key for t in tasks(cases, settings)}
    assert len(few) == len(list(tasks(cases[:4], settings)))


def test_choosing_tasks_never_opens_a_querys_labels(cases: tuple[Case, ...], tmp_path: Path) -> None:
    secret = tmp_path / "secret.nii.gz"
    secret.write_bytes(b"whoever reads this fails")
    hidden = tuple(
        replace(c, side="query", label=secret) if c.patient == "ann" else replace(c, side="support")
        for c in cases
    )
    for protocols in (("honest",), ("legacy",)):
        found = list(tasks(hidden, honest(protocols=protocols, shots=(1, 3))))
        assert {t.query.patient for t in found} == {"ann"}
    with pytest.raises(ImageError):
        list(tasks(hidden, honest(protocols=("same-volume",))))


def test_legacy_always_takes_three_slices_of_the_same_pairs(cases: tuple[Case, ...]) -> None:
    old = list(tasks(cases, honest(protocols=("legacy",), shots=(1, 5))))
    new = list(tasks(cases, honest(shots=(5,))))
    assert {(t.shots, len(t.slices)) for t in old} == {(3, 3)}
    assert [(t.support, t.query, t.organ) for t in old] == [(t.support, t.query, t.organ) for t in new]


def test_same_volume_asks_for_the_rest_of_the_painted_scan(cases: tuple[Case, ...]) -> None:
    found = list(tasks(cases, honest(protocols=("same-volume",), shots=(1, 3))))
    assert all(t.support is t.query for t in found)
    assert len(found) == (6 * 2 + 1) * 2


def test_the_legacy_extent_is_cut_in_three_parts_in_the_direction_of_the_body() -> None:
    truth = np.zeros((20, 4, 4), bool)
    truth[5:14, 1, 1] = True
    extent = organ_extent(truth, 0)
    assert extent == (5, 14)
    assert legacy_parts(extent, (30, 40, 50), same_direction=True) == (
        LegacyPart(5, 8, 30),
        LegacyPart(8, 11, 40),
        LegacyPart(11, 14, 50),
    )
    turned = legacy_parts(extent, (30, 40, 50), same_direction=False)
    assert [part.support_slice for part in turned] == [50, 40, 30]
    assert legacy_parts((4, 6), (1, 2, 3), same_direction=True)[0].first == 4
    assert organ_extent(np.zeros((3, 3, 3), bool), 0) is None


@given(st.integers(0, 50), st.integers(1, 40))
def test_legacy_parts_cover_the_extent_once(first: int, length: int) -> None:
    parts = legacy_parts((first, first + length), (1, 2, 3), same_direction=True)
    covered = [i for part in parts for i in range(part.first, part.stop)]
    assert covered == list(range(first, first + length))


def test_supports_are_sliced_as_they_were_painted(tmp_path: Path) -> None:
    table = Table(tmp_path).add("ann").add("bob", seed=1)
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:9, 5:17, [6, 12, 20]] = 6
    save(labels, tmp_path / "scans/ann_CT_label.nii.gz")
    settings = EvaluationSettings(protocols=("honest",), shots=(2,))
    found = {(t.support.patient, t.organ): t for t in tasks(table.cases(), settings)}
    painted, complete = found["ann", "liver"], found["bob", "liver"]
    assert (painted.plane, complete.plane) == ("sagittal", "axial")
    assert set(painted.slices) <= {6, 12, 20}
    assert set(complete.slices) <= set(range(2, 8))
    fixed = EvaluationSettings(protocols=("honest",), shots=(2,), plane="coronal")
    assert {task.plane for task in tasks(table.cases(), fixed)} == {"coronal"}


def test_direction_is_that_of_the_body_not_of_the_array() -> None:
    up = Geometry((4, 5, 6))
    down = Geometry((4, 5, 6), direction=((-1, 0, 0), (0, 1, 0), (0, 0, 1)))
    assert same_direction(up, up, "axial")
    assert not same_direction(up, down, "axial")
    assert same_direction(up, down, "coronal")
    assert not same_direction(up, down, "native")


def test_a_slab_keeps_its_place_in_the_patient_and_nothing_of_the_rest() -> None:
    geometry = Geometry((6, 5, 4), (5, 2, 3), (10, 20, 30), ((-1, 0, 0), (0, 1, 0), (0, 0, 1)))
    volume = Volume(np.arange(120, dtype=np.float32).reshape(6, 5, 4), geometry, "MR")
    part = slab(volume, 0, 2, 5)
    np.testing.assert_array_equal(part.array, volume.array[2:5])
    assert part.array.base is None
    np.testing.assert_allclose(
        part.geometry.index_to_world([[0, 1, 1]]), geometry.index_to_world([[2, 1, 1]])
    )


@pytest.mark.parametrize("folds", [2, 3, 4])
def test_folds_hold_every_patient_out_once_and_never_split_one(cases: tuple[Case, ...], folds: int) -> None:
    held = []
    for rest, out in patient_folds(cases, folds, seed=3):
        assert not {c.patient for c in rest} & {c.patient for c in out}
        assert sorted((*rest, *out), key=lambda c: c.line) == list(cases)
        held += [c.patient for c in out]
    assert len(held) == len(cases)
    assert set(held) == {c.patient for c in cases}


def test_folds_are_seeded_and_each_has_its_share_of_every_kind(cases: tuple[Case, ...]) -> None:
    many = [replace(cases[0], patient=f"ct{i}") for i in range(10)]
    many += [replace(cases[1], patient=f"mr{i}") for i in range(5)]
    for _, out in patient_folds(many, 5, seed=1):
        assert sorted(c.modality for c in out) == ["CT", "CT", "MR"]
    assert list(patient_folds(many, 5, seed=1)) == list(patient_folds(many, 5, seed=1))
    assert list(patient_folds(many, 5, seed=1)) != list(patient_folds(many, 5, seed=2))
    with pytest.raises(ValueError, match="folds"):
        list(patient_folds(cases, 5))


def test_in_a_fold_only_held_out_patients_are_queries(cases: tuple[Case, ...]) -> None:
    settings = honest(folds=2)
    queries = []
    for part in fold_cases(cases, settings):
        found = list(tasks(part, settings))
        supports = {t.support.patient for t in found}
        queries.append({t.query.patient for t in found})
        assert not supports & queries[-1]
    assert queries[0] | queries[1] == {c.patient for c in cases}
    assert not queries[0] & queries[1]
