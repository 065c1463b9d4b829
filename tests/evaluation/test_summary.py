"""Numbers that sum up, against hand-computed ones."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from napari_cpclnet.evaluation import CaseResult, summarise
from napari_cpclnet.evaluation.summary import bootstrap_interval

ROW = CaseResult(
    key="a",
    protocol="honest",
    shots=5,
    support_index=0,
    support_patient="s",
    support_modality="CT",
    query_patient="q",
    query_modality="MR",
    organ="liver",
    method="CPCLNet",
    dice=0.5,
    surface_dice=0.25,
    hd95_mm=10.0,
    relative_volume_error=-0.5,
    false_ml=2.0,
    truth_ml=100.0,
    predicted_ml=50.0,
    absent=False,
    seconds=2.0,
    peak_mb=500.0,
    device="cpu",
    weights="w",
)


def group(results: Sequence[CaseResult], **wanted: object) -> dict:
    (found,) = (
        g
        for g in summarise(results)["groups"]
        if all(g[k] == v for k, v in ({"support_modality": "CT", "organ": "liver"} | wanted).items())
    )
    return found


def test_mean_median_and_worst_decile_are_those_of_numpy() -> None:
    values = np.linspace(0.1, 0.9, 11)
    rows = [replace(ROW, dice=v, hd95_mm=100 * v, query_patient=f"q{i}") for i, v in enumerate(values)]
    found = group(rows)
    assert (found["n"], found["patients"]) == (11, 11)
    assert found["dice"]["mean"] == pytest.approx(0.5)
    assert found["dice"]["median"] == pytest.approx(0.5)
    assert found["dice"]["worst_decile"] == pytest.approx(values[1])  # a tenth is worse
    assert found["hd95_mm"]["worst_decile"] == pytest.approx(100 * values[-2])  # large distances are bad
    assert found["relative_volume_error"]["mean"] == 0.5  # absolute: errors of both signs do not cancel


def test_absent_and_missed_organs_are_counted_apart_and_enter_no_mean() -> None:
    rows = [
        ROW,
        replace(ROW, dice=0.0, surface_dice=0.0, hd95_mm=math.nan, predicted_ml=0.0, query_patient="r"),
        replace(
            ROW, dice=math.nan, hd95_mm=math.nan, absent=True, truth_ml=0.0, predicted_ml=30.0, false_ml=30.0
        ),
        replace(
            ROW, dice=math.nan, hd95_mm=math.nan, absent=True, truth_ml=0.0, predicted_ml=0.0, false_ml=0.0
        ),
    ]
    found = group(rows)
    assert (found["n"], found["absent"], found["absent_predicted"], found["missed"]) == (2, 2, 1, 1)
    assert found["absent_ml"] == 15.0
    assert found["dice"]["mean"] == 0.25
    assert found["hd95_mm"]["mean"] == 10.0
    assert found["false_ml"]["mean"] == 2.0


def test_the_interval_draws_patients_not_cases() -> None:
    # many cases of two patients: the interval must be as wide as two patients allow
    values = np.array([0.2] * 50 + [0.8] * 50)
    patients = ["a"] * 50 + ["b"] * 50
    assert bootstrap_interval(values, patients) == pytest.approx((0.2, 0.8))
    low, high = bootstrap_interval(values, [str(i) for i in range(100)]) or (0, 0)
    assert 0.43 < low < 0.5 < high < 0.57
    assert bootstrap_interval(values, ["a"] * 100) is None
    assert bootstrap_interval(values, patients, seed=1) == bootstrap_interval(values, patients, seed=1)


def test_the_interval_covers_the_mean_of_a_normal_sample_as_the_formula_says() -> None:
    values = np.random.default_rng(0).normal(0.6, 0.1, 400)
    low, high = bootstrap_interval(values, [str(i) for i in range(400)]) or (0, 0)
    half = 1.96 * values.std() / np.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.002)
    assert high == pytest.approx(values.mean() + half, abs=0.002)


def test_groups_hold_every_organ_and_pair_and_all_of_them_together() -> None:
    rows = [ROW, replace(ROW, organ="spleen", support_modality="MR", query_patient="r")]
    places = {(g["support_modality"], g["query_modality"], g["organ"]) for g in summarise(rows)["groups"]}
    assert places == {
        ("CT", "MR", "liver"),
        ("CT", "MR", "all"),
        ("MR", "MR", "spleen"),
        ("MR", "MR", "all"),
        ("all", "all", "liver"),
        ("all", "all", "spleen"),
        ("all", "all", "all"),
    }


def test_the_gap_compares_the_same_pairs_only() -> None:
    rows = [
        replace(ROW, dice=0.4),
        replace(ROW, dice=0.7, protocol="legacy", shots=3),
        replace(ROW, dice=0.1, query_patient="only honest"),
    ]
    (gap,) = (g for g in summarise(rows)["gap"] if g["organ"] == "liver" and g["support_modality"] == "CT")
    assert (gap["n"], gap["shots"]) == (1, 5)
    assert (gap["honest"], gap["legacy"], gap["gap"]) == pytest.approx((0.4, 0.7, 0.3))


def test_a_summary_is_strict_json_even_with_nothing_to_say() -> None:
    empty = replace(
        ROW,
        dice=math.nan,
        surface_dice=math.nan,
        hd95_mm=math.nan,
        relative_volume_error=math.nan,
        absent=True,
        peak_mb=math.nan,
    )
    text = json.dumps(summarise([empty]), allow_nan=False)
    assert json.loads(text)["groups"][0]["dice"]["mean"] is None
    assert summarise([]) == {"groups": [], "gap": []}
