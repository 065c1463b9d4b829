"""Files appear whole or not at all, and nothing stays of a writer that was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_cpclnet.errors import OutputError
from napari_cpclnet.files.atomic import atomic_write, temporary_beside

KILLED = """
import os, signal, sys
from pathlib import Path
from napari_cpclnet.files.atomic import atomic_write
with atomic_write(Path(sys.argv[1]), "a test") as temporary:
    temporary.write_text("half")
    temporary.with_name(".of-a-library").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_file_is_there_at_the_end_of_the_block_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.nii.gz"
    with atomic_write(path, "a test") as temporary:
        assert temporary.name.endswith(".nii.gz")
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_older_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("old")

    def write() -> None:
        with atomic_write(path, "a test") as temporary:
            temporary.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="Cannot write a test to"):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_the_next_writer_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".") and len(list(left.iterdir())) == 2
    (tmp_path / ".somebody-elses").write_text("x")
    with atomic_write(path, "a test") as temporary:
        temporary.write_text("whole")
    assert sorted(one.name for one in tmp_path.iterdir()) == [".somebody-elses", "x.safetensors"]


def test_a_name_near_the_longest_allowed_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / f"x.{'y' * 240}.nii.gz"
    assert len(temporary_beside(path).name) < 100
    with atomic_write(path, "a test") as temporary:
        temporary.write_text("whole")
    assert os.listdir(tmp_path) == [path.name]
