"""``napari-cpclnet evaluate`` on scans of a few voxels and a network with random weights."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import SimpleITK as sitk

from napari_cpclnet import cli
from napari_cpclnet.cli.evaluate import evaluation_settings, parse_baselines
from napari_cpclnet.cli.options import repeated_options
from napari_cpclnet.errors import SettingsError
from napari_cpclnet.evaluation import read_results, tasks
from napari_cpclnet.imaging.cases import read_cases

SHAPE = (6, 40, 48)
Run = Callable[..., tuple[int, str, str]]


def save_weights_of(path: Path, seed: int) -> Path:
    import torch

    from napari_cpclnet.model import CPCLNet, CPCLNetSettings, save_weights
    from napari_cpclnet.preprocessing import PreprocessingSettings

    torch.manual_seed(seed)
    model = CPCLNet(CPCLNetSettings(channels=16, skip_channels=8, latent_channels=8, blocks=1))
    save_weights(model, path, {"preprocessing": PreprocessingSettings().model_dump(), "recipe": "random"})
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    for fold in range(2):
        save_weights_of(folder / f"fold_{fold}.safetensors", fold)
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three patients, each with a body and a liver in three slices."""
    rows = ["patient,modality,image,label,classes"]
    for number, (patient, modality) in enumerate((("ann", "CT"), ("bob", "CT"), ("cid", "MR"))):
        labels = np.zeros(SHAPE, np.uint8)
        labels[1:4, 12:24, 10 + number : 22 + number] = 1
        image = np.full(SHAPE, 0 if modality == "MR" else -1000, np.int16)
        image[:, 6:-6, 6:-6] = 40
        image[labels > 0] = 140
        for what, array in (("image", image), ("label", labels)):
            found = sitk.GetImageFromArray(array)
            found.SetSpacing((2.0, 2.0, 5.0))
            sitk.WriteImage(found, str(tmp_path / f"{patient}_{what}.nii.gz"))
        rows.append(f"{patient},{modality},{patient}_image.nii.gz,{patient}_label.nii.gz,1=liver")
    path = tmp_path / "cases.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], table: Path, weights: Path, tmp_path: Path) -> Run:
    """Run the command in this process: exit code, stdout, stderr."""

    def _run(*more: object, bare: bool = False) -> tuple[int, str, str]:
        words = ["evaluate", "--cases", table, "--out", tmp_path / "out", "--device", "cpu", "--quick"]
        if not bare:
            words += ["--weights", weights / "fold_0.safetensors"]
        with pytest.raises(SystemExit) as stop:
            cli.main([str(word) for word in (*words, *more)])
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return _run


def test_a_table_becomes_results_summary_and_report(run: Run, tmp_path: Path) -> None:
    code, out, err = run(
        "--baselines", "copy,prototype", "--shots", "1", "2", "--protocol", "honest", "legacy"
    )
    assert code == 0, err
    rows = read_results(tmp_path / "out/cases.csv")
    assert {r.method for r in rows} == {"CPCLNet", "copy", "prototype"}
    assert {(r.protocol, r.shots) for r in rows} == {("honest", 1), ("honest", 2), ("legacy", 3)}
    # every query has a CT support, the CTs also an MR one
    assert len(rows) == 5 * 3 * 3
    assert all(r.seconds > 0 and r.peak_mb > 0 and r.device == "cpu" and len(r.weights) == 12 for r in rows)
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["facts"]["settings"]["baselines"] == ["copy", "prototype"]
    assert {g["method"] for g in summary["gap"]} == {"CPCLNet", "copy", "prototype"}
    report = (tmp_path / "out/report.html").read_text()
    assert "data:image/png;base64," in report
    assert "honest, 2 shots, CPCLNet: mean Dice" in out
    assert "[1/15] honest, 1 shots" in err


def test_finished_cases_are_not_run_again(run: Run, tmp_path: Path) -> None:
    assert run("--baselines", "none", "--from", "CT", "--to", "MR")[0] == 0
    table = tmp_path / "out/cases.csv"
    before = table.read_text()
    code, _, err = run("--baselines", "none", "--from", "CT", "--to", "MR")
    assert code == 2
    assert "--resume" in err
    table.write_text(before.splitlines()[0] + "\n")
    code, _, err = run("--baselines", "none", "--from", "CT", "--to", "MR", "--resume")
    assert code == 0
    assert "[1/1]" in err
    code, out, err = run("--baselines", "none", "--from", "CT", "--to", "MR", "--resume")
    assert code == 0
    assert "[1/1]" not in err
    assert "mean Dice" in out


def test_each_fold_is_judged_with_its_own_weights(run: Run, weights: Path, tmp_path: Path) -> None:
    code, _, err = run("--folds", "2", "--weights", weights, "--baselines", "none", "--shots", "1", bare=True)
    assert code == 0, err
    rows = read_results(tmp_path / "out/cases.csv")
    of_patient = {p: {r.weights for r in rows if r.query_patient == p} for p in ("ann", "bob", "cid")}
    assert all(len(found) == 1 for found in of_patient.values())
    assert len(set.union(*of_patient.values())) == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--protocol", "best"], ["--protocol", "'best'"]),
        (["--shots", "0"], ["--shots", "0"]),
        (["--from", "US"], ["--from", "'US'"]),
        (["--baselines", "copy,magic"], ["--baselines", "'magic'", "registration"]),
        (["--from", "PET"], ["nothing to evaluate"]),
        (["--folds", "2"], ["--folds"]),
        (["--weights", "none.safetensors"], ["none.safetensors"]),
        (["--device", "cuda:77"], ["cuda:77"]),
        (["--cases", "none.csv"], ["none.csv"]),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(run: Run, words: list[str], says: list[str]) -> None:
    code, _, err = run(*words, bare="--folds" in words)
    errors = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert code == 2
    assert len(errors) == 1, err
    assert "Traceback" not in err
    for word in says:
        assert word in errors[0]


def test_a_bad_line_of_the_table_is_named(run: Run, table: Path, tmp_path: Path) -> None:
    table.write_text(table.read_text().replace("cid_label", "eve_label"))
    code, _, err = run()
    assert code == 2
    assert f"{table}, line 4: label {tmp_path}/eve_label.nii.gz does not exist" in err
    assert not (tmp_path / "out").exists()


def test_baselines_are_all_none_or_names() -> None:
    assert len(parse_baselines("all")) == 7
    assert parse_baselines("none") == ()
    assert parse_baselines("knn, copy") == ("knn", "copy")
    with pytest.raises(SettingsError):
        parse_baselines("Copy")


def test_several_values_follow_one_option() -> None:
    words = ["evaluate", "--shots", "1", "3", "5", "--protocol", "honest", "legacy", "--resume"]
    assert repeated_options(words) == (
        [
            "evaluate",
            "--shots",
            "1",
            "--shots",
            "3",
            "--shots",
            "5",
            "--protocol",
            "honest",
            "--protocol",
            "legacy",
            "--resume",
        ]
    )


def test_modalities_go_by_their_usual_names() -> None:
    settings = evaluation_settings(
        protocols=None, shots=None, from_modality="pet", to_modality="MRI", baselines="none"
    )
    assert (settings.from_modality, settings.to_modality) == ("PT", "MR")
    assert settings.shots == (5,)


def script(name: str) -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "accuracy" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_the_shared_data_covers_all_pairings(shared_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "cases.csv"
    assert script("make_cases").main([str(path), "--data", str(shared_data)]) == 0
    with path.open() as file:
        assert len(list(csv.DictReader(file))) == 32
    settings = evaluation_settings(
        protocols=None, shots=[5], from_modality=None, to_modality=None, baselines="none"
    )
    found = list(tasks(read_cases(path), settings))
    tumours = {(t.support.modality, t.query.modality) for t in found if t.organ == "tumour"}
    organs = {(t.support.modality, t.query.modality) for t in found if t.organ == "liver"}
    assert len(tumours) == 9
    assert len(organs) == 4
    assert len(found) == 8 * 2 * 4 + 24 * 3
    assert all(t.support.patient != t.query.patient for t in found)


def test_the_readme_is_written_from_a_summary(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("--baselines", "copy", "--shots", "2", "--protocol", "honest", "legacy")[0] == 0
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks" / "accuracy"))
    readme = tmp_path / "README.md"
    table = script("table")
    assert table.main(["--out", str(tmp_path / "out"), "--no-run", "--readme", str(readme)]) == 0
    text = readme.read_text()
    facts = json.loads((tmp_path / "out/summary.json").read_text())["facts"]
    assert facts["weights"] in text
    assert facts["date"] in text
    assert "| MR to CT | CPCLNet | " in text
    assert "| CT to MR | copy | " in text
    assert "legacy" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    blocks = text.split("\n\n")
    assert lines
    for block in blocks:
        widths = {line.count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(widths) <= 1
