"""Runs on labelled scans: a table or the layout of images and masks, by patient, in folds, stopped and gone on with."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_cpclnet.episodes.labelled_episodes import LabelledEpisodes
from napari_cpclnet.episodes.prepared_labels import LabelledFile, open_labelled, prepare_labelled
from napari_cpclnet.errors import CpclnetError, ImageError, SettingsError
from napari_cpclnet.evaluation import EvaluationSettings
from napari_cpclnet.imaging import find_scans
from napari_cpclnet.imaging.cases import patient_folds
from napari_cpclnet.imaging.labelled import labelled_cases, patient_of
from napari_cpclnet.model import load_weights
from napari_cpclnet.preprocessing import PseudoLabelSettings, make_pseudo_labels
from napari_cpclnet.training import PreparationReport, StepReport, TrainingSettings, train
from napari_cpclnet.training.labelled import split

from .labelled_data import write_layout, write_table

Tiny = Callable[..., TrainingSettings]
LABELS = {"phantoms": 0.0, "shapes": 0.0, "labels": 1.0}
CPU = torch.device("cpu")


def prepared(labels: Path, folder: Path, settings: TrainingSettings) -> list[LabelledFile]:
    found = []
    for case, path, problem in prepare_labelled(labelled_cases(labels), folder, settings.preprocessing, 1):
        assert path is not None, problem
        found.append(open_labelled(path, case))
    return found


def folds_of(out: Path) -> dict[str, set[str]]:
    """Patients by part."""
    found: dict[str, set[str]] = {}
    with (out / "folds.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["part"], set()).add(row["patient"])
    return found


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("CT_001", "001"),
        ("MRI_001", "001"),
        ("CT_001_slice12", "001"),
        ("CT_liver_001", "liver_001"),
        ("p12-03", "p12"),
        ("CT", "CT"),
        ("anna", "anna"),
    ],
)
def test_names_tell_patients_and_never_part_one(name: str, patient: str) -> None:
    assert patient_of(name) == patient


def test_both_sides_show_one_class_in_two_patients(tmp_path: Path, tiny: Tiny) -> None:
    settings = tiny()
    files = prepared(write_table(tmp_path, ("a", "b", "b")), tmp_path / "made", settings)
    episodes = LabelledEpisodes(
        files, settings.episodes.model_copy(update={"same_patient": 0.0}), CPU, as_scanned=1.0
    )
    assert episodes.classes == ("ball", "stone")
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    shown = 0
    for _ in range(20):
        names, support, query = episodes._plan(rng, 2)
        assert {files[n].patient for n, _ in support}.isdisjoint({files[n].patient for n, _ in query})
        assert set(names) <= {"ball", "stone"}
        batch = episodes.batch(rng, generator)
        assert batch.same_scan is not None and not batch.same_scan.any()
        assert (batch.support_masks.sum((2, 3, 4)) > 0).all()  # every class that is asked for was painted
        for image, masks in zip(batch.query[0], batch.query_masks[0], strict=True):
            for mask in masks[masks.flatten(1).sum(1) > 40]:
                shown += 1
                inside = float(image[1][mask > 0].mean())
                body = float(image[1][(image[1] > 0.02) & (mask == 0)].median())
                assert inside > body + 0.1  # the mask lies on what is brighter than the body
    assert shown > 20


def test_one_scan_is_asked_for_other_slices_than_were_painted(tmp_path: Path, tiny: Tiny) -> None:
    settings = tiny()
    episodes = LabelledEpisodes(
        prepared(write_table(tmp_path, ("a",)), tmp_path / "made", settings), settings.episodes, CPU
    )
    rng, own = np.random.default_rng(1), []
    for _ in range(30):
        _, support, query = episodes._plan(rng, 2)
        assert not set(support) & set(query)
        batch = episodes.batch(rng, torch.Generator().manual_seed(0))
        assert batch.same_scan is not None
        own.append(bool(batch.same_scan[0]))
    assert 0.5 < np.mean(own) < 1  # own_scan is 0.8


def test_pictures_of_one_patient_are_never_on_both_sides(tmp_path: Path, tiny: Tiny) -> None:
    settings = tiny()
    root = write_layout(tmp_path / "data", ("CT_001", "MRI_001", "CT_002", "CT_003", "CT_004"))
    files = prepared(root / "masks", tmp_path / "made", settings)
    assert [file.patient for file in files] == ["001", "002", "003", "004", "001"]
    episodes = LabelledEpisodes(files, settings.episodes, CPU)
    assert episodes.classes == ("label 1", "label 2")
    rng, several = np.random.default_rng(2), 0
    for _ in range(40):
        _, support, query = episodes._plan(rng, 2)
        sides = [{files[n].patient for n, _ in side} for side in (support, query)]
        assert sides[0].isdisjoint(sides[1])
        several += len(sides[0]) > 1
    assert several  # a support of two slices is of two pictures


def test_what_a_table_does_not_name_is_not_known_to_be_absent(tmp_path: Path, tiny: Tiny) -> None:
    settings = tiny()
    table = write_table(tmp_path, ("a", "b"))
    lines = table.read_text().splitlines()
    lines[2] = lines[2].replace("1=ball;2=stone", "1=ball;7=horn")
    table.write_text("\n".join(lines))
    one, other = prepared(table, tmp_path / "made", settings)
    assert (one.names, other.names) == (("ball", "stone"), ("ball",))
    assert other.absent == {"horn"} and other.knows("horn") and not other.knows("stone")
    episodes = LabelledEpisodes([one, other], settings.episodes.model_copy(update={"same_patient": 0.0}), CPU)
    rng = np.random.default_rng(3)
    for _ in range(30):
        names, support, query = episodes._plan(rng, 2)
        assert "stone" not in names or support[0][0] == query[0][0]


def test_folds_part_patients_as_those_of_an_evaluation_do(tmp_path: Path, tiny: Tiny) -> None:
    cases = labelled_cases(write_table(tmp_path, ("a", "b", "c", "c", "d")))
    judged = []
    for number, (rest, out) in enumerate(patient_folds(cases, 3, EvaluationSettings().seed), 1):
        parts = split(cases, tiny(folds=3, fold=number))
        assert (parts.train, parts.held_out, parts.fold) == (rest, out, f"{number}/3")
        assert not {c.patient for c in parts.train} & {c.patient for c in parts.held_out}
        judged += parts.held_out
    assert sorted(c.image for c in judged) == sorted(c.image for c in cases)
    few = split(cases, tiny())  # without folds a tenth of the patients, and at least one
    assert len({c.patient for c in few.held_out}) == 1 and not few.fold
    with pytest.raises(ValueError, match="no fold 4 of 3"):
        tiny(folds=3, fold=4)


@pytest.mark.slow
def test_a_fold_is_learned_from_by_nothing_and_is_named(tmp_path: Path, tiny: Tiny) -> None:
    table, out = write_table(tmp_path / "data", ("a", "b", "c", "c")), tmp_path / "run"
    settings = tiny(sources=LABELS | {"scans": 1.0}, folds=2, fold=2, steps=2)
    reports = list(train(settings, out, labels=table, data_root=tmp_path / "data", device="cpu"))
    steps = [r for r in reports if isinstance(r, StepReport)]
    assert [r.step for r in steps] == [1, 2]
    assert {"dice_labels", "dice_scans"} <= set(steps[-1].validation)
    parts = folds_of(out)
    assert parts["training"] | parts["validation"] == {"a", "b", "c"}
    assert not parts["training"] & parts["validation"]
    metadata = load_weights(out / "models" / "last_model.safetensors").metadata
    assert metadata["fold"] == "2/2"
    assert any("(fold 2/2) for validation only" in words for words in metadata["sources"])
    # patients and their files are named in the folder of the run, not in the weights
    assert not any(name in str(metadata["sources"]) for name in ("scan0", str(tmp_path), "'a'"))
    with (out / "training_log.csv").open(newline="") as file:
        row = list(csv.DictReader(file))[-1]
    assert row["fold"] == "2/2" and float(row["validation_dice"]) == round(
        steps[-1].validation["dice_labels"], 4
    )
    # a scan that is held out is no unlabelled one either
    scans = [r for r in reports if isinstance(r, PreparationReport) and r.what == "Preparing scans"]
    with (out / "folds.csv").open(newline="") as file:
        kept = sum(row["part"] == "validation" for row in csv.DictReader(file))
    assert kept and scans[-1].total == 4 - kept


@pytest.mark.slow
def test_a_run_on_labels_goes_on_to_the_same_weights(tmp_path: Path, tiny: Tiny) -> None:
    table = write_table(tmp_path / "data", ("a", "b", "c"))
    settings = tiny(sources=LABELS, steps=4)
    seen = [
        r
        for r in train(settings, tmp_path / "whole", labels=table, device="cpu")
        if isinstance(r, StepReport)
    ]
    assert all(np.isfinite(r.losses["total"]) for r in seen)
    reports = train(settings, tmp_path / "part", labels=table, device="cpu")
    next(r for r in reports if isinstance(r, StepReport) and r.step == 2)
    reports.close()
    rest = [r for r in train(None, tmp_path / "part", resume=True, device="cpu") if isinstance(r, StepReport)]
    assert [(r.step, r.losses) for r in rest] == [(r.step, r.losses) for r in seen[2:]]
    table.write_text("\n".join(table.read_text().splitlines()[:3]))  # a patient less: other folds
    with pytest.raises(SettingsError, match="not those that the run began with"):
        list(train(tiny(sources=LABELS, steps=6), tmp_path / "part", resume=True, device="cpu"))


def test_of_one_patient_the_upper_slices_are_held_out(tmp_path: Path, tiny: Tiny) -> None:
    table = write_table(tmp_path / "data", ("a", "a"))
    out = tmp_path / "run"
    reports = list(train(tiny(sources=LABELS, steps=2), out, labels=table, device="cpu"))
    assert isinstance(reports[-1].losses, dict)  # type: ignore[union-attr]
    assert set(folds_of(out)) == {"training, and validation in the upper fifth of the slices"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: None, "3 folds need 3 patients"),
        (lambda table: (table.parent / "scan0.nii.gz").write_bytes(b"no scan"), None),
        (
            lambda table: table.write_text(table.read_text().replace("1=ball;2=stone", "9=horn")),
            "shows no class",
        ),
        (lambda table: table.unlink(), "no such cases table"),
    ],
)
def test_what_cannot_be_learned_from_is_one_sentence(
    tmp_path: Path, tiny: Tiny, change: Callable[[Path], object], said: str | None
) -> None:
    table = write_table(tmp_path / "data", ("a", "b"))
    change(table)
    settings = tiny(sources=LABELS, steps=1, folds=3 if said and "folds" in said else None)
    if said is None:  # a bad scan is named, and the rest is too little here
        with pytest.raises(ImageError, match="too few"):
            list(train(settings, tmp_path / "run", labels=table, device="cpu"))
        return
    with pytest.raises(CpclnetError, match=said) as error:
        list(train(settings, tmp_path / "run", labels=table, device="cpu"))
    assert "\n" not in str(error.value)


def test_folds_need_labels(tmp_path: Path, tiny: Tiny) -> None:
    with pytest.raises(SettingsError, match="give labelled scans"):
        list(train(tiny(folds=2, sources={"phantoms": 0.0, "shapes": 1.0}), tmp_path / "run", device="cpu"))


def test_regions_lie_beside_the_masks_and_never_over_them(tmp_path: Path) -> None:
    root = write_layout(tmp_path / "data", ("CT_001", "MRI_002"))

    def digests() -> dict[str, str]:
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (root / "masks").iterdir()}

    before, cases = digests(), labelled_cases(root)
    for report in make_pseudo_labels(find_scans(root), PseudoLabelSettings(), workers=1, overwrite=True):
        assert report.path is not None and report.path.parent == root / "images"
    assert digests() == before
    assert labelled_cases(root) == cases  # regions are taken neither for scans nor for masks
    assert [case.label for case in cases] == [(root / "masks" / f"{n}.png") for n in ("CT_001", "MRI_002")]
