"""The command line, on volumes of a few voxels and a network with random weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from napari_cpclnet import cli

SHAPE = (6, 40, 48)
PAINTED = (2, 3)


def save(path: Path, array: np.ndarray, spacing: tuple[float, float, float] = (2.0, 2.0, 5.0)) -> Path:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


def scan(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    rng = np.random.default_rng(seed)
    array = rng.normal(-1000, 10, shape)
    array[:, 6:-6, 6:-6] = rng.normal(40, 10, array[:, 6:-6, 6:-6].shape)
    return array.astype(np.int16)


def mask() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:4, 12:24, 10:22] = 6
    labels[3, 12:20, 28:36] = 1
    labels[5, 20:24, 20:24] = 9
    return labels


class Case:
    """A support, a query, and the command that labels the one from the other."""

    def __init__(self, folder: Path, weights: Path) -> None:
        self.folder = folder
        self.weights = weights
        self.image = save(folder / "ct.nii.gz", scan(1))
        self.mask = save(folder / "ct_label.nii.gz", mask())
        self.query = save(folder / "other.nii.gz", scan(2, (5, 36, 44)))
        self.out = folder / "out"

    def arguments(self, *more: object, query: list[Path] | None = None) -> list[str]:
        words = ["segment", "--support", self.image, self.mask, "--query", *(query or [self.query])]
        words += ["--out", self.out, "--weights", self.weights, "--device", "cpu", "--quick", *more]
        return [str(word) for word in words]

    def written(self) -> list[str]:
        return sorted(path.name for path in self.out.iterdir()) if self.out.exists() else []


@pytest.fixture
def case(tmp_path: Path, weights: Path) -> Case:
    return Case(tmp_path, weights)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], tuple[int, str, str]]:
    """Run the command in this process: exit code, stdout, stderr."""

    def _run(arguments: list[str]) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            cli.main(arguments)
        captured = capsys.readouterr()
        code = stop.value.code
        return (0 if code is None else int(code)), captured.out, captured.err

    return _run


Run = Callable[[list[str]], tuple[int, str, str]]


def assert_refused(result: tuple[int, str, str], *words: str) -> None:
    """Exit code 2 and one sentence on stderr that holds these words."""
    code, _, err = result
    errors = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert code == 2
    assert len(errors) == 1, err
    assert "Traceback" not in err
    for word in words:
        assert word in errors[0]


def test_labels_are_written_on_the_querys_grid_with_the_supports_values(case: Case, run: Run) -> None:
    code, out, err = run(case.arguments())
    assert code == 0, err
    assert case.written() == ["other_labels.nii.gz"]
    image, result = sitk.ReadImage(str(case.query)), sitk.ReadImage(str(case.out / "other_labels.nii.gz"))
    assert result.GetSize() == image.GetSize()
    assert result.GetSpacing() == pytest.approx(image.GetSpacing())
    assert set(np.unique(sitk.GetArrayFromImage(result))) <= {0, 1, 6, 9}
    (line,) = out.splitlines()
    assert line.startswith("other: ")
    assert " s, " in line
    assert "label 6" in line
    assert " ml" in line


def test_a_support_that_is_its_own_query_keeps_its_painted_slices_exactly(case: Case, run: Run) -> None:
    code, _, err = run(case.arguments("--slices", "2,3", query=[case.image]))
    assert code == 0, err
    result = sitk.GetArrayFromImage(sitk.ReadImage(str(case.out / "ct_labels.nii.gz")))
    np.testing.assert_array_equal(result[list(PAINTED)], mask()[list(PAINTED)])


def test_slices_painted_in_another_plane_need_no_option(case: Case, run: Run) -> None:
    painted = np.zeros(SHAPE, np.uint8)
    painted[1:5, 12:24, [12, 20]] = 6
    save(case.mask, painted)
    code, _, err = run(case.arguments("--slices", "12,20", query=[case.image]))
    assert code == 0, err
    assert "its slices are sagittal ones" in err
    result = sitk.GetArrayFromImage(sitk.ReadImage(str(case.out / "ct_labels.nii.gz")))
    np.testing.assert_array_equal(result[..., [12, 20]], painted[..., [12, 20]])
    assert_refused(
        run(case.arguments("--slices", "0", "--plane", "axial", "--overwrite")), "nothing is painted"
    )


def test_the_network_can_be_adapted_to_the_support_first(case: Case, run: Run) -> None:
    code, out, err = run(case.arguments("--adapt", "3", "--slices", "2,3", query=[case.image]))
    assert code == 0, err
    first, _second = out.splitlines()
    assert first.startswith("Fine-tuned on the support in 3 steps, ")
    result = sitk.GetArrayFromImage(sitk.ReadImage(str(case.out / "ct_labels.nii.gz")))
    np.testing.assert_array_equal(result[2:4], mask()[2:4])


def test_only_the_listed_slices_and_classes_are_used(case: Case, run: Run) -> None:
    code, out, err = run(case.arguments("--slices", "2,3", "--classes", "6=liver,1=spleen"))
    assert code == 0, err
    assert "liver" in out
    assert "spleen" in out
    assert "label 9" not in out


def test_without_classes_a_label_outside_the_listed_slices_is_no_class(case: Case, run: Run) -> None:
    _, out, _ = run(case.arguments("--slices", "2"))
    assert "label 6" in out
    assert "label 1" not in out


@pytest.mark.parametrize("suffix", ["nrrd", "mha"])
def test_format_and_probabilities(case: Case, run: Run, suffix: str) -> None:
    code, _, err = run(
        case.arguments("--format", suffix, "--probabilities", "--classes", "6=left kidney,1=spleen")
    )
    assert code == 0, err
    assert case.written() == [
        f"other_labels.{suffix}",
        f"other_probability_left_kidney.{suffix}",
        f"other_probability_spleen.{suffix}",
    ]
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(case.out / f"other_labels.{suffix}")))
    values = sitk.GetArrayFromImage(sitk.ReadImage(str(case.out / f"other_probability_spleen.{suffix}")))
    assert values.shape == labels.shape
    assert 0.0 <= values.min() <= values.max() <= 1.0


def test_several_supports_and_slices_per_support(case: Case, run: Run) -> None:
    second = save(case.folder / "ct2.nii.gz", scan(3))
    arguments = case.arguments("--support", second, case.mask, "--slices", "2", "--slices", "3")
    code, out, err = run(arguments)
    assert code == 0, err
    assert "label 1" in out


def test_a_folder_of_scans_leaves_out_masks_and_earlier_results(case: Case, run: Run) -> None:
    save(case.folder / "many" / "a.nii.gz", scan(4))
    save(case.folder / "many" / "b.nrrd", scan(5))
    save(case.folder / "many" / "a_labels.nii.gz", mask())
    save(case.folder / "many" / "a_probability_liver.nii.gz", scan(6))
    code, out, err = run(case.arguments(query=[case.folder / "many"]))
    assert code == 0, err
    assert case.written() == ["a_labels.nii.gz", "b_labels.nii.gz"]
    assert len(out.splitlines()) == 2


def test_scans_of_one_name_do_not_overwrite_each_other(case: Case, run: Run) -> None:
    paths = [save(case.folder / patient / "mr.nii.gz", scan(i)) for i, patient in enumerate(("p1", "p2"))]
    code, _, err = run(case.arguments(query=[*paths, paths[0]]))
    assert code == 0, err
    assert case.written() == ["p1_mr_labels.nii.gz", "p2_mr_labels.nii.gz"]


def test_names_stay_apart_where_folders_do_not_tell_them_apart(case: Case, run: Run) -> None:
    paths = [save(case.folder / "one" / name, scan(1)) for name in ("mr.nii.gz", "mr.nrrd", "MR_2.nii")]
    code, _, err = run(case.arguments(query=paths))
    assert code == 0, err
    assert case.written() == ["MR_2_2_labels.nii.gz", "mr_2_labels.nii.gz", "mr_labels.nii.gz"]


def test_one_bad_query_is_reported_and_the_others_are_labelled(case: Case, run: Run) -> None:
    bad = case.folder / "bad.nii.gz"
    bad.write_bytes(b"not an image")
    code, out, err = run(case.arguments(query=[bad, case.folder / "missing.nii.gz", case.query]))
    assert code == 2
    assert case.written() == ["other_labels.nii.gz"]
    assert out.startswith("other: ")
    assert "bad.nii.gz" in err
    assert "missing.nii.gz" in err
    assert "2 of 3 queries" in err


class TestInfo:
    def test_prints_what_a_scan_is(self, case: Case, run: Run) -> None:
        code, out, _ = run(["info", str(case.image)])
        assert code == 0
        assert "6 x 40 x 48 voxels" in out
        assert "5 x 2 x 2 mm" in out
        assert "HU" in out
        assert "z inferior to superior" in out

    def test_prints_what_weights_hold(self, case: Case, run: Run) -> None:
        code, out, _ = run(["info", str(case.weights)])
        assert code == 0
        assert "random" in out
        assert "compact" in out

    def test_folder_with_a_damaged_file_tells_about_the_others(self, case: Case, run: Run) -> None:
        (case.folder / "bad.nii").write_bytes(b"bad")
        code, out, _ = run(["info", str(case.folder)])
        assert code == 0
        assert "bad.nii" in out
        assert "6 x 40 x 48 voxels" in out

    def test_missing_file(self, case: Case, run: Run) -> None:
        assert_refused(run(["info", str(case.folder / "nowhere.nii")]), "nowhere.nii")

    def test_no_patient_identity(self, run: Run, shared_data: Path) -> None:
        import pydicom

        folder = shared_data / "ct_hounsfield" / "ct_dicom"
        header = pydicom.dcmread(next(path for path in sorted(folder.rglob("*")) if path.is_file()))
        code, out, err = run(["info", str(folder)])
        assert code == 0, err
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyDate", "InstitutionName"):
            value = str(header.get(keyword, ""))
            assert len(value) < 3 or value not in out.replace(str(header.SeriesInstanceUID), "")


def test_version(run: Run) -> None:
    from napari_cpclnet import __version__

    code, out, _ = run(["--version"])
    assert code == 0
    assert __version__ in out


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_demo_writes_pictures_and_labels(
    run: Run, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    monkeypatch.setattr("napari_cpclnet.model.weights.bundled_weights", lambda: weights)
    code, out, err = run(["demo", "--no-window", "--device", "cpu", "--out", str(tmp_path / "demo")])
    assert code == 0, err
    written = {path.name for path in (tmp_path / "demo").iterdir()}
    assert {"phantom_ct_painted.png", "phantom_mr_labels.png", "phantom_pet_labels.png"} <= written
    assert {"phantom_mr_labels.nii.gz", "phantom_pet_labels.nii.gz", "phantom_ct_painted.nii.gz"} <= written
    assert out.count("Dice") == 2
    for picture in (tmp_path / "demo").glob("*.png"):
        assert np.asarray(Image.open(picture)).std() > 10


def test_uncertainty_is_written_beside_the_labels(case: Case, run: Run) -> None:
    code, _, err = run(case.arguments("--uncertainty", "--format", "seg.nrrd"))
    assert code == 0, err
    assert sorted(p.name for p in case.out.iterdir()) == ["other_labels.seg.nrrd", "other_uncertainty.nrrd"]
    values = sitk.GetArrayFromImage(sitk.ReadImage(str(case.out / "other_uncertainty.nrrd")))
    assert values.shape == (5, 36, 44) and values.dtype == np.float32
    assert values.min() >= 0 and values.max() <= 1


def test_an_earlier_uncertainty_is_no_query(case: Case, run: Run) -> None:
    folder = case.folder / "again"
    save(folder / "a.nii.gz", scan(4))
    save(folder / "a_uncertainty.nii.gz", scan(5))
    code, _, err = run(case.arguments(query=[folder]))
    assert code == 0, err
    assert [p.name for p in case.out.iterdir()] == ["a_labels.nii.gz"]


class TestSuggest:
    def arguments(self, case: Case, query: Path, *more: str) -> list[str]:
        words = ["suggest", "--support", case.image, case.mask, "--query", query, "--weights", case.weights]
        return [str(word) for word in (*words, "--device", "cpu", *more)]

    def test_slices_come_ranked_with_a_reason_each(self, case: Case, run: Run) -> None:
        code, out, err = run(self.arguments(case, case.query, "--count", "3"))
        assert code == 0, err
        lines = out.splitlines()
        assert len(lines) == 3
        numbers = [int(line.split()[1]) for line in lines]
        assert len(set(numbers)) == 3 and set(numbers) <= set(range(5))
        assert all("gain" in line and line.endswith(".") for line in lines)

    def test_slices_that_are_painted_are_left_out(self, case: Case, run: Run) -> None:
        code, out, err = run(self.arguments(case, case.image, "--slices", "2,3", "--count", "9"))
        assert code == 0, err
        assert sorted(int(line.split()[1]) for line in out.splitlines()) == [0, 1, 4, 5]

    def test_partial_slices_teach_and_are_left_out(self, case: Case, run: Run) -> None:
        labels = mask()
        labels[2, 30:34, 10:22] = 255
        save(case.mask, labels)
        words = self.arguments(case, case.image, "--slices", "3", "--count", "9")
        code, out, err = run([*words, "--partial", "2"])
        assert code == 0, err
        assert sorted(int(line.split()[1]) for line in out.splitlines()) == [0, 1, 4, 5]
        code, _, err = run([*words, "--partial", "0"])
        assert code == 2 and "Nothing is painted on the partial slice 0" in err

    def test_a_missing_query_is_one_sentence(self, case: Case, run: Run) -> None:
        code, out, err = run(self.arguments(case, case.folder / "nothing.nii.gz"))
        assert code == 2 and not out
        assert "nothing.nii.gz" in err and "Traceback" not in err


def test_partial_slices_teach_without_their_background_label(case, run):
    labels = mask()
    labels[2, 30:34, 10:22] = 255
    save(case.mask, labels)
    code, out, err = run(case.arguments("--slices", "3", "--partial", "2"))
    assert code == 0, err
    assert "label 6" in out
    assert "label 255" not in out
    code, _, err = run(case.arguments("--partial", "0", "--overwrite"))
    assert code == 2
    assert "Nothing is painted on the partial slice 0" in err
