"""A series that is larger than what should be in memory goes into a project and comes back without being read whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from tests.imaging.dicom.test_lazy import MEGABYTE, write_many

from napari_cpclnet.gui.project.restore import restore
from napari_cpclnet.gui.project.snapshot import write_snapshot
from napari_cpclnet.gui.project.tracker import ProjectTracker
from napari_cpclnet.gui.session.session import Session
from napari_cpclnet.imaging.dicom import list_series, read_series
from napari_cpclnet.project import locate, open_project, read_project

from .doubles import add_volume

pytest.importorskip("dask.array")

SAVE_AND_OPEN = """
import resource, sys
from pathlib import Path
import dask.array
import numpy as np
from napari.components import ViewerModel
from napari_cpclnet.gui.layers.scan_layers import volume_to_layer
from napari_cpclnet.gui.project.tracker import ProjectTracker
from napari_cpclnet.gui.project.restore import restore
from napari_cpclnet.gui.project.snapshot import write_snapshot
from napari_cpclnet.gui.session.session import Session
from napari_cpclnet.imaging.dicom import list_series, read_series
from napari_cpclnet.project import locate, open_project, read_project

folder = Path(sys.argv[1])
session, again = Session(ViewerModel()), Session(ViewerModel())
session.viewer.add_image(np.zeros((4, 5, 6)), contrast_limits=(0, 1))
(info,) = list_series(folder / "s")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
data, kwargs, _ = volume_to_layer(read_series(info, lazy=True))
session.viewer.add_image(data, **kwargs)
keeper = ProjectTracker(session)
keeper.keep_in(folder / "work", own=True)
write_snapshot(keeper.snapshot())
project = read_project(folder / "work")
opened = open_project(project, folder / "work", locate(project, folder / "work"), lazy_above=1 << 20)
restore(again, ProjectTracker(again), opened, own=True)
layer = next(x for x in again.viewer.layers if x.data.shape[0] > 4)
seen = [int(np.asarray(layer.data[i])[-1, -1]) for i in (0, 400, 799)]
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(info.n_bytes, grown * (1 if sys.platform == "darwin" else 1024), *seen, *layer.data.shape)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no count of memory")
def test_a_large_series_is_hashed_and_opened_without_filling_the_memory(tmp_path: Path) -> None:
    write_many(tmp_path / "s", 800, 384)
    ran = subprocess.run(
        [sys.executable, "-c", SAVE_AND_OPEN, str(tmp_path)], capture_output=True, text=True, check=True
    )
    n_bytes, grown, *rest = map(int, ran.stdout.split())
    assert rest == [-1024, -624, -225, 800, 384, 384]
    assert n_bytes == 800 * 384 * 384 * 4
    # what remains is what says where the slices lie, and what is imported
    assert grown < n_bytes / 2, f"{grown / MEGABYTE:.0f} MB for a series of {n_bytes / MEGABYTE:.0f} MB"


def test_only_series_above_the_limit_stay_in_their_files(viewer, tmp_path):
    write_many(tmp_path / "s", 12, 64)
    (info,) = list_series(tmp_path / "s")
    add_volume(viewer, read_series(info, lazy=True))
    session = Session(viewer)
    session.forget_removed()
    session.new_support_labels().data[4, 5:9, 5:9] = 1
    keeper = ProjectTracker(session)
    keeper.keep_in(tmp_path / "work", own=True)
    write_snapshot(keeper.snapshot())
    project = read_project(tmp_path / "work")
    (entry,) = project.scans
    assert (entry.modality, entry.unit) == ("CT", "HU")
    for limit, lazy in ((info.n_bytes - 1, True), (info.n_bytes, False), (None, False)):
        found = list(locate(project, tmp_path / "work"))
        assert [one.state for one in found] == ["same"]
        after = Session(ViewerModel())
        opened = open_project(project, tmp_path / "work", found, lazy_above=limit)
        restore(after, ProjectTracker(after), opened, own=True)
        assert isinstance(after.support_scan.data, np.ndarray) is not lazy
        np.testing.assert_array_equal(np.asarray(after.support_scan.data), np.asarray(viewer.layers[0].data))
        assert after.slices.painted_slices() == {4: (1,)}
