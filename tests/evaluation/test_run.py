"""Whole evaluations with predictors whose scores are known."""

from __future__ import annotations

import gc
import json
import math
import signal
import subprocess
import sys
import time
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from napari_cpclnet.errors import OutputError, SettingsError, WeightsError
from napari_cpclnet.evaluation import (
    CaseResult,
    EvaluationSettings,
    Predictor,
    evaluate_folds,
    evaluate_predictors,
    read_results,
    write_outputs,
)
from napari_cpclnet.imaging import Volume
from napari_cpclnet.imaging.cases import Case
from napari_cpclnet.segmentation import SupportSet

from .doubles import SHAPE, SPACING, Everywhere, Half, Nothing, Oracle, Table, make_labels

VOXEL_ML = math.prod(SPACING) / 1000


@pytest.fixture
def cases(tmp_path: Path) -> tuple[Case, ...]:
    table = Table(tmp_path / "data")
    return table.add("ann", seed=0).add("bob", "MR", seed=1).add("cid", "MR", seed=2, spleen=False).cases()


def settings(**changes: Any) -> EvaluationSettings:
    return EvaluationSettings(**{"shots": (3,), "baselines": (), "device": "cpu", "align": False, **changes})


def run(
    cases: tuple[Case, ...], out: Path, *predictors: Predictor, resume: bool = False, **changes: Any
) -> list[CaseResult]:
    for _ in evaluate_predictors(cases, settings(**changes), predictors, out, resume):
        pass
    return list(read_results(out / "cases.csv"))


def scores(rows: list[CaseResult], name: str, **wanted: object) -> list[float]:
    chosen = [r for r in rows if all(getattr(r, k) == v for k, v in wanted.items())]
    assert chosen
    return [getattr(r, name) for r in chosen]


def test_predictors_of_known_dice_get_it(cases: tuple[Case, ...], tmp_path: Path) -> None:
    rows = run(cases, tmp_path / "out", Oracle(), Half(), Nothing(), Everywhere())
    present = [r for r in rows if not r.absent]
    assert scores(present, "dice", method="oracle") == pytest.approx([1.0] * 7)
    assert scores(present, "surface_dice", method="oracle") == pytest.approx([1.0] * 7)
    assert scores(present, "hd95_mm", method="oracle") == pytest.approx([0.0] * 7)
    assert scores(present, "dice", method="half", organ="spleen") == pytest.approx([2 / 3] * 2)
    assert scores(present, "relative_volume_error", method="half", organ="spleen") == [-0.5] * 2
    assert scores(present, "dice", method="nothing") == [0.0] * 7
    # the liver is on 6 of 10 slices, the spleen on 3: 4 voxels on each of the others
    assert scores(present, "false_ml", method="everywhere", organ="liver") == pytest.approx(
        [16 * VOXEL_ML] * 5
    )
    assert scores(present, "false_ml", method="everywhere", organ="spleen") == pytest.approx(
        [28 * VOXEL_ML] * 2
    )


def test_an_absent_organ_is_reported_apart(cases: tuple[Case, ...], tmp_path: Path) -> None:
    rows = run(cases, tmp_path / "out", Everywhere())
    absent = [r for r in rows if r.absent]
    assert {(r.query_patient, r.organ) for r in absent} == {("cid", "spleen")}
    assert all(math.isnan(r.dice) for r in absent)
    assert scores(absent, "false_ml") == pytest.approx([40 * VOXEL_ML] * len(absent))
    groups = json.loads((tmp_path / "out/summary.json").read_text())["groups"]
    (everything,) = (g for g in groups if {g["organ"], g["support_modality"], g["query_modality"]} == {"all"})
    assert (everything["n"], everything["absent"]) == (7, len(absent))


def test_the_folder_holds_table_summary_report_and_pictures_of_the_extremes(
    cases: tuple[Case, ...], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    rows = run(cases, out, Half(), keep_predictions=True)
    assert {"cases.csv", "summary.json", "report.html"} <= {p.name for p in out.iterdir()}
    facts = json.loads((out / "summary.json").read_text())["facts"]
    assert facts["settings"]["shots"] == [3]
    assert facts["cases"] == 3
    assert str(tmp_path) not in (out / "summary.json").read_text()
    pictures = {p.stem for p in (out / "pictures").iterdir()}
    for organ in ("liver", "spleen"):
        ranked = sorted((r.dice, r.key) for r in rows if r.organ == organ and not r.absent)
        assert any(key in pictures for dice, key in ranked if dice == ranked[0][0])
        assert any(key in pictures for dice, key in ranked if dice == ranked[-1][0])
    assert len(pictures) <= 4
    written = sorted(p.name for p in (out / "predictions").iterdir())
    assert written == sorted(f"{r.key}_half.nii.gz" for r in rows)
    row = next(r for r in rows if r.support_modality == "CT" and r.organ == "liver")
    image = sitk.ReadImage(str(out / f"predictions/{row.key}_half.nii.gz"))
    assert image.GetSpacing() == pytest.approx(SPACING[::-1])
    assert set(np.unique(sitk.GetArrayFromImage(image))) == {0, 6}  # the support's value


def test_several_shots_and_supports_are_rows_of_their_own(cases: tuple[Case, ...], tmp_path: Path) -> None:
    rows = run(cases, tmp_path / "out", Oracle(), shots=(1, 3), supports=2, to_modality="CT")
    assert len(rows) == len({r.key for r in rows})
    livers = {(r.shots, r.support_patient, r.support_index) for r in rows if r.organ == "liver"}
    assert {(k, p) for k, p, _ in livers} == {(k, p) for k in (1, 3) for p in ("bob", "cid")}
    assert {i for _, _, i in livers} == {0, 1}


class SupportSpy:
    """Keeps what it is given."""

    name = "spy"

    def __init__(self) -> None:
        self.given: list[tuple[SupportSet, Volume]] = []

    def predict(self, support: SupportSet, query: Volume) -> np.ndarray:
        self.given.append((support, query))
        return np.zeros(query.array.shape, np.uint8)


def test_the_support_holds_the_chosen_slices_and_no_other_label(
    cases: tuple[Case, ...], tmp_path: Path
) -> None:
    spy = SupportSpy()
    run(cases, tmp_path / "out", spy, from_modality="CT", to_modality="MR")
    support, _ = next((s, q) for s, q in spy.given if "liver" in s.classes.values())
    assert sorted(s.index for s in support.slices) == [3, 5, 7]
    for one in support.slices:
        np.testing.assert_array_equal(one.labels2d, np.where(make_labels(0)[one.index] == 6, 6, 0))


def test_legacy_sees_three_slabs_of_the_extent_each_with_one_painted_slice(
    cases: tuple[Case, ...], tmp_path: Path
) -> None:
    spy = SupportSpy()
    rows = run(cases, tmp_path / "out", spy, protocols=("legacy",), from_modality="CT", to_modality="MR")
    given = [(s.slices[0].index, q.array.shape[0]) for s, q in spy.given if "liver" in s.classes.values()]
    assert given[:3] == [(3, 2), (5, 2), (7, 2)]
    assert all(len(s) == 1 for s, _ in spy.given)
    # whoever lacks the organ is dropped, as in the publications
    assert {r.query_patient for r in rows if r.organ == "spleen"} == {"bob"}


def test_legacy_forgives_what_lies_outside_the_organs_slices(cases: tuple[Case, ...], tmp_path: Path) -> None:
    rows = run(cases, tmp_path / "out", Everywhere(), protocols=("honest", "legacy"))
    honest, legacy = ([r for r in rows if r.protocol == p and not r.absent] for p in ("honest", "legacy"))
    assert all(r.dice < 1 and r.false_ml > 0 for r in honest)
    assert all(r.dice == 1 and r.false_ml == 0 for r in legacy)
    assert {r.shots for r in legacy} == {3}
    gap = json.loads((tmp_path / "out/summary.json").read_text())["gap"]
    assert gap
    assert all(g["gap"] > 0 for g in gap)


def test_same_volume_scores_the_slices_that_were_not_painted(cases: tuple[Case, ...], tmp_path: Path) -> None:
    rows = run(cases, tmp_path / "out", Oracle(), Nothing(), protocols=("same-volume",), shots=(2,))
    assert {(r.support_patient, r.query_patient) for r in rows} == {(p, p) for p in ("ann", "bob", "cid")}
    assert set(scores(rows, "dice", method="oracle")) == {1.0}
    assert set(scores(rows, "dice", method="nothing")) == {0.0}
    liver = scores(rows, "truth_ml", method="oracle", organ="liver", query_patient="ann")
    assert liver == pytest.approx([4 * 8 * 10 * VOXEL_ML])  # two of six slices were painted


class Thief:
    """Searches all that it is given for the truth: paths, names, arrays, whatever hangs on them."""

    name = "thief"

    def __init__(self, truths: dict[str, np.ndarray], secrets: tuple[str, ...]) -> None:
        self.truths = truths
        self.secrets = secrets
        self.searched = 0
        self.loot: list[str] = []

    def predict(self, support: SupportSet, query: Volume) -> np.ndarray:
        assert query.source is None
        assert all(s.volume.source is None for s in support.slices)
        for thing in everything_on(support, query):
            self.searched += 1
            if isinstance(thing, (str, bytes, Path)):
                text = thing.decode("latin1") if isinstance(thing, bytes) else str(thing)
                self.loot += [text for secret in self.secrets if secret in text]
            if isinstance(thing, np.ndarray) and thing.ndim == 3:
                for who, truth in self.truths.items():
                    if thing.shape == truth.shape and any(
                        np.array_equal(thing == v, truth == v) for v in np.unique(truth) if v
                    ):
                        self.loot.append(who)
        return np.zeros(query.array.shape, np.uint8)


def everything_on(*roots: object) -> list[object]:
    """All objects that can be reached, through attributes, containers, closures, array bases; not through code."""
    found: dict[int, object] = {}
    queue = list(roots)
    code = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.FrameType)
    while queue:
        thing = queue.pop()
        if id(thing) in found or isinstance(thing, code):
            continue
        found[id(thing)] = thing
        queue += gc.get_referents(thing)
        queue += list(getattr(thing, "__dict__", {}).values())
        if isinstance(thing, np.ndarray) and thing.base is not None:
            queue.append(thing.base)
    return list(found.values())


def image_without_grey_oracle(case: Case) -> None:
    """Replace the image by noise, so that the truth can be found in the labels only."""
    image = sitk.ReadImage(str(case.image))
    noise = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    new = sitk.GetImageFromArray(noise)
    new.CopyInformation(image)
    sitk.WriteImage(new, str(case.image))


@pytest.mark.parametrize("protocol", ["honest", "legacy", "same-volume"])
def test_a_predictor_that_searches_for_the_truth_does_not_find_it(
    cases: tuple[Case, ...], tmp_path: Path, protocol: str
) -> None:
    for case in cases:
        image_without_grey_oracle(case)
    truths = {case.patient: case.read_label().labels for case in cases}
    secrets = ("ann", "bob", "cid", "_label", str(tmp_path))
    thief = Thief(truths, secrets)
    rows = run(cases, tmp_path / "out", thief, protocols=(protocol,))
    assert rows
    assert thief.searched > 100
    assert thief.loot == []
    # the search itself works: it finds a truth that hangs on the query, however it hangs there
    for planted in (
        Volume(truths["bob"].astype(np.float32), cases[1].read_image().geometry),
        cases[1].read_image(),
        Volume(np.lib.stride_tricks.as_strided(truths["bob"])[:], cases[1].read_image().geometry),
    ):
        found = Thief(truths, secrets)
        query = replace(planted, source=None, notes=(str(cases[1].label),))
        support = SupportSet({1: "liver"})
        support.add(neutral_volume(), np.ones(SHAPE, np.uint8), slices=[1])
        found.predict(support, query)
        assert found.loot


def neutral_volume() -> Volume:
    from napari_cpclnet.imaging import Geometry

    return Volume(np.zeros(SHAPE, np.float32), Geometry(SHAPE))


def test_the_querys_labels_are_opened_after_the_last_prediction(
    cases: tuple[Case, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    read = Case.read_label

    def spied(self: Case, like: Volume | None = None) -> Any:
        events.append(f"label {self.patient}")
        return read(self, like)

    class Teller(Oracle):
        def predict(self, support: SupportSet, query: Volume) -> np.ndarray:
            events.append("predict")
            return super().predict(support, query)

    only = tuple(replace(c, side="query" if c.patient == "bob" else "support") for c in cases)
    monkeypatch.setattr(Case, "read_label", spied)
    run(only, tmp_path / "out", Teller(), Teller(), from_modality="CT")
    task = ["label ann", "predict", "predict", "label bob"]
    assert events == ["label ann", *task, *task]  # the first look is for the choice of slices


def test_a_run_that_stopped_goes_on_where_it_was(cases: tuple[Case, ...], tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = Oracle()
    reports = evaluate_predictors(cases, settings(), [first], out)
    done = [next(reports) for _ in range(3)]
    reports.close()
    assert not (out / "report.html").exists()
    second = Oracle()
    rest = list(evaluate_predictors(cases, settings(), [second], out, resume=True))
    assert [r.done for r in done + rest] == list(range(1, done[0].total + 1))
    assert first.calls + second.calls == done[0].total
    whole = run(cases, tmp_path / "whole", Oracle())
    resumed = read_results(out / "cases.csv")
    assert [(r.key, r.dice) for r in resumed if not r.absent] == [
        (r.key, r.dice) for r in whole if not r.absent
    ]
    assert (out / "report.html").exists()
    # once more: nothing is left to do
    assert list(evaluate_predictors(cases, settings(), [second], out, resume=True)) == []


def test_results_are_neither_overwritten_nor_mixed(cases: tuple[Case, ...], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(cases, out, Oracle())
    before = (out / "cases.csv").read_bytes()
    with pytest.raises(OutputError, match="--resume"):
        run(cases, out, Oracle())
    with pytest.raises(SettingsError, match="other shots"):
        run(cases, out, Oracle(), resume=True, shots=(1,))
    with pytest.raises(SettingsError, match="other cases"):
        run(cases[:2], out, Oracle(), resume=True)
    with pytest.raises(SettingsError, match="other weights"):
        list(evaluate_predictors(cases, settings(), [Oracle()], out, True, name="another"))
    assert (out / "cases.csv").read_bytes() == before


SLOW_RUN = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from evaluation.doubles import Oracle
from napari_cpclnet.evaluation import EvaluationSettings, evaluate_predictors
from napari_cpclnet.imaging.cases import read_cases

class Slow(Oracle):
    def predict(self, support, query):
        time.sleep(0.05)
        with open({log!r}, "a") as file:
            file.write("x")
        return super().predict(support, query)

settings = EvaluationSettings(shots=(1, 2, 3), supports=2, baselines=(), device="cpu", align=False)
for report in evaluate_predictors(read_cases({table!r}), settings, [Slow()], Path({out!r}), True):
    print(report.done, report.total, flush=True)
"""


@pytest.mark.slow
@pytest.mark.timeout(900)  # starts three processes, which takes a while on a busy machine
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill a process at once")
def test_a_run_that_is_killed_loses_at_most_one_case(cases: tuple[Case, ...], tmp_path: Path) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    script = SLOW_RUN.format(
        tests=str(Path(__file__).parents[1]),
        log=str(log),
        table=str(tmp_path / "data/cases.csv"),
        out=str(out),
    )
    rng = np.random.default_rng(0)
    for kills in (1, 2):
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        time.sleep(float(rng.uniform(0, 0.1)))
        process.kill()
        process.communicate()
        kept = len(read_results(out / "cases.csv"))
        assert kept >= 3 * kills
        assert len(log.read_text()) - kept <= kills
    last = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    total = int(last.stdout.split()[-1])
    rows = read_results(out / "cases.csv")
    assert len(rows) == len({r.key for r in rows}) == total
    assert len(log.read_text()) - total <= 2
    assert (out / "report.html").exists()


def test_nothing_to_evaluate_is_said(cases: tuple[Case, ...], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nothing to evaluate"):
        run(cases, tmp_path / "out", Oracle(), from_modality="PT")
    assert not (tmp_path / "out").exists()


def test_labels_of_the_wrong_shape_are_a_bug_of_the_predictor(
    cases: tuple[Case, ...], tmp_path: Path
) -> None:
    class Wrong(Oracle):
        def predict(self, support: SupportSet, query: Volume) -> np.ndarray:
            return super().predict(support, query)[1:]

    with pytest.raises(ValueError, match="labels"):
        run(cases, tmp_path / "out", Wrong())


def test_time_and_memory_are_measured(cases: tuple[Case, ...], tmp_path: Path) -> None:
    class Hungry(Oracle):
        name = "hungry"

        def predict(self, support: SupportSet, query: Volume) -> np.ndarray:
            eaten = np.ones(200_000_000, np.uint8)
            time.sleep(0.05)
            del eaten
            return super().predict(support, query)

    rows = run(cases, tmp_path / "out", Hungry(), Oracle(), from_modality="CT")
    hungry, modest = ([r for r in rows if r.method == m] for m in ("hungry", "oracle"))
    assert all(r.seconds >= 0.05 for r in hungry)
    assert all(h.peak_mb > 200 for h in hungry)
    if sys.platform == "linux":
        assert all(h.peak_mb - o.peak_mb > 150 for h, o in zip(hungry, modest, strict=True))


def test_outputs_can_be_written_again_from_the_table(cases: tuple[Case, ...], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(cases, out, Half())
    before = (out / "summary.json").read_text()
    facts = json.loads(before)["facts"]
    (out / "report.html").unlink()
    (out / "summary.json").unlink()
    assert write_outputs(out, facts) == out / "report.html"
    assert (out / "summary.json").read_text() == before


def test_folds_need_a_weights_file_each_and_enough_patients(cases: tuple[Case, ...], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"fold_0\.safetensors"):
        list(evaluate_folds(cases, settings(folds=2), tmp_path, tmp_path / "out"))
    with pytest.raises(SettingsError, match="9 folds"):
        list(evaluate_folds(cases, settings(folds=9), tmp_path, tmp_path / "out"))


def test_two_processes_do_not_write_to_one_folder(cases: tuple[Case, ...], tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = evaluate_predictors(cases, settings(), [Oracle()], out)
    next(first)
    with pytest.raises(OutputError, match="another process is writing an evaluation there"):
        next(evaluate_predictors(cases, settings(), [Oracle()], out, resume=True))
    first.close()
    list(evaluate_predictors(cases, settings(), [Oracle()], out, resume=True))
    keys = [row.key for row in read_results(out / "cases.csv")]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("content", ["[1]", "3", "null", "[" * 2000, "{"])
def test_a_folder_whose_description_is_something_else_is_not_resumed(
    cases: tuple[Case, ...], tmp_path: Path, content: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "run.json").write_text(content)
    with pytest.raises(SettingsError, match="cannot be resumed"):
        next(evaluate_predictors(cases, settings(), [Oracle()], out, resume=True))


def test_labels_that_are_read_are_not_replaced_by_predictions(
    cases: tuple[Case, ...], tmp_path: Path
) -> None:
    out = cases[0].label.parent.parent
    (out / "predictions").mkdir()
    label = cases[0].label.rename(out / "predictions" / "ann.nii.gz")
    moved = (replace(cases[0], label=label), *cases[1:])
    with pytest.raises(OutputError, match=r"where .*ann\.nii\.gz lies, which is read"):
        next(evaluate_predictors(moved, settings(keep_predictions=True), [Oracle()], out))


def test_a_patient_of_a_long_name_has_files_too(cases: tuple[Case, ...], tmp_path: Path) -> None:
    long = [replace(case, patient=case.patient * 200) for case in cases]
    rows = run(tuple(long), tmp_path / "out", Oracle())
    assert all(len(row.key) < 200 for row in rows)
    assert len({row.key for row in rows}) > 1
