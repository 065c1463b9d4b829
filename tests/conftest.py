"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real scans, named by CPCLNET_TEST_DATA; tests that need it are skipped where it is missing."""
    default = Path(__file__).parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("CPCLNET_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real scans in {folder}; set CPCLNET_TEST_DATA to run this test")
    return folder
