"""What the command line refuses, what it writes where, and what is left when it is stopped."""

# ruff: noqa: F811

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from .test_segment import PAINTED, SHAPE, Case, Run, assert_refused, case, mask, run, save, scan  # noqa: F401


class TestWrongInput:
    def test_missing_support(self, case: Case, run: Run) -> None:
        case.image = case.folder / "nowhere.nii.gz"
        assert_refused(run(case.arguments()), "nowhere.nii.gz")
        assert case.written() == []

    def test_missing_query(self, case: Case, run: Run) -> None:
        code, _, err = run(case.arguments(query=[case.folder / "nowhere.nii.gz"]))
        assert code == 2
        assert "nowhere.nii.gz" in err
        assert case.written() == []

    def test_mask_on_other_voxels_is_brought_over_and_that_is_said(self, case: Case, run: Run) -> None:
        save(case.mask, mask(), spacing=(2.0, 2.0, 4.0))
        code, _, err = run(case.arguments())
        assert code == 0
        assert "(nearest neighbour): spacing (4, 2, 2) against (5, 2, 2) mm" in err

    def test_mask_of_another_place(self, case: Case, run: Run) -> None:
        image = sitk.GetImageFromArray(mask())
        image.SetSpacing((2.0, 2.0, 5.0))
        image.SetOrigin((900.0, 0.0, 0.0))
        sitk.WriteImage(image, str(case.mask))
        assert_refused(run(case.arguments()), "ct_label.nii.gz", "all of its labelled voxels lie outside ct")
        assert_refused(run(case.arguments("--mask-place", "header")), "outside ct altogether")

    def test_mask_that_lost_its_place(self, case: Case, run: Run) -> None:
        save(case.mask, mask(), spacing=(1.0, 1.0, 1.0))
        assert_refused(
            run(case.arguments()), "ct_label.nii.gz", "no place in the patient", "--mask-place voxels"
        )
        code, _, err = run(case.arguments("--mask-place", "voxels"))
        assert code == 0, err
        assert "voxel for voxel" in err
        code, _, err = run(case.arguments("--mask-place", "header", "--overwrite"))
        assert code == 0, err
        assert "nearest neighbour" in err

    def test_empty_mask(self, case: Case, run: Run) -> None:
        save(case.mask, np.zeros(SHAPE, np.uint8))
        assert_refused(run(case.arguments()), "ct_label.nii.gz", "empty")

    def test_nothing_on_the_listed_slices(self, case: Case, run: Run) -> None:
        assert_refused(run(case.arguments("--slices", "0,1")), "slices 0, 1; painted are 2, 3, 5.")

    def test_slice_that_does_not_exist(self, case: Case, run: Run) -> None:
        assert_refused(run(case.arguments("--slices", "2,6")), "slice 6", "0 to 5")

    def test_slice_that_is_no_number(self, case: Case, run: Run) -> None:
        assert_refused(run(case.arguments("--slices", "2;3")), "2;3")

    def test_label_not_in_the_mask(self, case: Case, run: Run) -> None:
        assert_refused(run(case.arguments("--classes", "6=liver,4=spleen")), "4 (spleen)", "1, 6, 9")

    def test_label_only_on_other_slices(self, case: Case, run: Run) -> None:
        result = run(case.arguments("--slices", "2", "--classes", "6=liver,1=spleen"))
        assert_refused(result, "1 (spleen)", "slices given")

    def test_file_that_is_no_image(self, case: Case, run: Run) -> None:
        text = case.folder / "notes.txt"
        text.write_text("not an image")
        case.image = text
        assert_refused(run(case.arguments()), "notes.txt")

    def test_damaged_image(self, case: Case, run: Run) -> None:
        case.image.write_bytes(case.image.read_bytes()[:200])
        assert_refused(run(case.arguments()), "ct.nii.gz")

    def test_four_dimensions(self, case: Case, run: Run) -> None:
        series = sitk.JoinSeries([sitk.GetImageFromArray(scan(i)) for i in range(3)])
        sitk.WriteImage(series, str(case.image))
        assert_refused(run(case.arguments()), "ct.nii.gz", "3")

    def test_nan(self, case: Case, run: Run) -> None:
        array = scan(1).astype(np.float32)
        array[0, 0, 0] = np.nan
        save(case.image, array)
        assert_refused(run(case.arguments()), "ct.nii.gz", "NaN")

    def test_no_such_device(self, case: Case, run: Run) -> None:
        assert_refused(run(case.arguments("--device", "cuda:99")), "cuda:99")
        assert case.written() == []

    def test_device_of_another_kind(self, case: Case, run: Run) -> None:
        assert_refused(run(case.arguments("--device", "abacus")), "abacus")

    def test_half_precision_on_a_cpu(self, case: Case, run: Run) -> None:
        assert_refused(run(case.arguments("--precision", "fp16")), "fp16")

    def test_missing_weights(self, case: Case, run: Run) -> None:
        case.weights = case.folder / "none.safetensors"
        assert_refused(run(case.arguments()), "none.safetensors")

    def test_damaged_weights(self, case: Case, run: Run) -> None:
        case.weights = case.folder / "cut.safetensors"
        case.weights.write_bytes(b"cut")
        assert_refused(run(case.arguments()), "cut.safetensors")

    def test_output_folder_is_a_file(self, case: Case, run: Run) -> None:
        case.out.write_text("")
        assert_refused(run(case.arguments()), "out")

    def test_read_only_output_folder(self, case: Case, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr("tempfile.TemporaryFile", refuse)
        assert_refused(run(case.arguments()), "out", "Permission denied")
        assert not case.out.exists()

    def test_odd_number_of_support_files(self, case: Case, run: Run) -> None:
        code, _, err = run(["segment", "--support", str(case.image), "--query", "q", "--out", "o"])
        assert code == 2
        assert "IMAGE MASK" in err

    def test_unknown_plane(self, case: Case, run: Run) -> None:
        code, _, err = run(case.arguments("--plane", "diagonal"))
        assert code == 2
        assert "diagonal" in err


class TestOutputs:
    def test_existing_results_are_kept_and_reported(self, case: Case, run: Run) -> None:
        run(case.arguments())
        finished = case.out / "other_labels.nii.gz"
        finished.write_bytes(b"corrected by hand")
        code, _, err = run(case.arguments())
        assert code == 2
        assert "--overwrite" in err
        assert finished.read_bytes() == b"corrected by hand"

    def test_overwrite_replaces_them(self, case: Case, run: Run) -> None:
        case.out.mkdir()
        finished = case.out / "other_labels.nii.gz"
        finished.write_bytes(b"old")
        code, _, err = run(case.arguments("--overwrite"))
        assert code == 0, err
        assert finished.read_bytes() != b"old"

    def test_an_input_is_never_replaced(self, case: Case, run: Run) -> None:
        case.out = case.folder
        case.mask = save(case.folder / "other_labels.nii.gz", mask())
        before = case.mask.read_bytes()
        code, _, err = run(case.arguments("--overwrite"))
        assert code == 2
        assert "other_labels.nii.gz" in err
        assert case.mask.read_bytes() == before

    def test_no_scan_of_the_run_is_replaced_by_the_result_of_another(self, case: Case, run: Run) -> None:
        case.out = case.folder
        second = save(case.folder / "other_labels.nii.gz", scan(7))
        before = second.read_bytes()
        result = run(case.arguments("--overwrite", query=[case.query, second]))
        assert_refused(result, "other_labels.nii.gz", "is read by this command")
        assert second.read_bytes() == before

    def test_a_link_to_an_input_is_not_replaced_either(self, case: Case, run: Run) -> None:
        case.out.mkdir()
        (case.out / "other_labels.nii.gz").symlink_to(case.image)
        assert_refused(run(case.arguments("--overwrite")), "is read by this command")
        assert (case.out / "other_labels.nii.gz").is_symlink()

    def test_a_folder_of_pictures_that_is_read_is_not_replaced(self, case: Case, run: Run) -> None:
        from napari_cpclnet.imaging.formats.picture_writing import save_pictures

        case.query = save_pictures(scan(5) % 255, case.folder / "slices_labels.png")
        other = save(case.folder / "slices.nii.gz", scan(7))
        case.out = case.folder
        before = sorted(case.query.iterdir())
        code, _, err = run(case.arguments("--overwrite", "--format", "png", query=[case.query, other]))
        assert code == 2
        assert "slices_labels.png: is read by this command" in err
        assert sorted(case.query.iterdir()) == before

    def test_weights_and_terminology_are_not_replaced(self, case: Case, run: Run) -> None:
        case.out.mkdir()
        terms = case.out / "other_labels.nii.gz"
        terms.write_text("{}")
        assert_refused(
            run(case.arguments("--overwrite", "--terminology", str(terms))), "is read by this command"
        )

    def test_maps_that_a_killed_run_left_are_replaced(self, case: Case, run: Run) -> None:
        case.out.mkdir()
        left = case.out / "other_probability_label_1.nii.gz"
        left.write_bytes(b"of a run that was killed before the labels")
        code, _, err = run(case.arguments("--probabilities"))
        assert code == 0, err
        assert sitk.ReadImage(str(left)).GetSize() == sitk.ReadImage(str(case.query)).GetSize()

    def test_classes_of_one_file_name_get_files_of_their_own(self, case: Case, run: Run) -> None:
        names = "1=left kidney,6=left_kidney,9=Left/Kidney_6"
        code, _, err = run(case.arguments("--probabilities", "--classes", names))
        assert code == 0, err
        assert [name for name in case.written() if "probability" in name] == [
            "other_probability_Left_Kidney_6.nii.gz",
            "other_probability_left_kidney_1.nii.gz",
            "other_probability_left_kidney_6_6.nii.gz",
        ]

    def test_a_class_name_longer_than_file_names_may_be(self, case: Case, run: Run) -> None:
        code, _, err = run(case.arguments("--probabilities", "--classes", f"1={'liver ' * 60},6=b"))
        assert code == 0, err
        assert len(case.written()) == 3

    def test_temporary_files_of_a_killed_run_go(self, case: Case, run: Run) -> None:
        from napari_cpclnet.files.atomic import temporary_beside

        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        case.out.mkdir()
        ours = temporary_beside(case.out / "x_labels.nii.gz")
        left = ours.with_name(ours.name.replace(f"-{os.getpid()}-", f"-{gone.pid}-"))
        left.with_suffix("").mkdir()
        for path in (ours, left, left.with_suffix("") / "y.nrrd", case.out / ".notes"):
            path.write_bytes(b"half")
        code, _, err = run(case.arguments())
        assert code == 0, err
        assert case.written() == sorted([ours.name, ".notes", "other_labels.nii.gz"])

    def test_a_full_disk_leaves_nothing_behind(
        self, case: Case, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("os.replace", full)
        code, _, err = run(case.arguments("--probabilities"))
        assert code == 2
        assert "Traceback" not in err
        assert case.written() == []

    def test_labels_that_cannot_be_written_take_the_probabilities_along(
        self, case: Case, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from napari_cpclnet.errors import OutputError

        def full(_: object, path: Path, **__: object) -> None:
            raise OutputError(f"{path}: the disk is full.")

        monkeypatch.setattr("napari_cpclnet.cli.outputs.write_segmentation", full)
        code, _, err = run(case.arguments("--probabilities"))
        assert code == 2
        assert "disk is full" in err
        assert case.written() == []


class TestInterrupt:
    def test_finished_files_stay_and_no_partial_ones(
        self, case: Case, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from napari_cpclnet.segmentation import Segmenter

        second = save(case.folder / "second.nii.gz", scan(7))
        predict = Segmenter.predict

        def stopped(self: Segmenter, volume: object, **options: object) -> object:
            for report in predict(self, volume, **options):  # type: ignore[arg-type]
                if volume.name == "second" and report.done == 3:  # type: ignore[attr-defined]
                    raise KeyboardInterrupt
                yield report

        monkeypatch.setattr(Segmenter, "predict", stopped)
        code, out, err = run(case.arguments(query=[case.query, second]))
        assert code == 130
        assert case.written() == ["other_labels.nii.gz"]
        assert out.startswith("other: ")
        assert "Traceback" not in err

    @pytest.mark.slow
    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for other processes")
    def test_a_real_ctrl_c(self, case: Case) -> None:
        long = save(case.folder / "long.nii.gz", scan(8, (2000, 64, 64)))
        command = [sys.executable, "-m", "napari_cpclnet", *case.arguments(query=[case.query, long])]
        # a shell starts background jobs with Ctrl-C ignored; whoever runs these tests may be one
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        finally:
            signal.signal(signal.SIGINT, handler)
        try:
            deadline = time.monotonic() + 120
            while "other_labels.nii.gz" not in case.written() and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=150)
        finally:
            process.kill()
        assert process.returncode == 130
        assert "Traceback" not in err
        assert case.written() == ["other_labels.nii.gz"]
