"""Which DICOM series of a folder opens in napari, and how the user chooses."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from npe2 import PluginManager, PluginManifest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialogButtonBox
from tests.imaging.dicom.dicom_world import UPRIGHT, write_place

from napari_cpclnet.errors import ImageError
from napari_cpclnet.gui.contributions import reader
from napari_cpclnet.gui.contributions.series_choice import (
    choice_without_asking,
    first_choice,
    headline,
    rows,
    usable,
)
from napari_cpclnet.gui.contributions.series_picker import SeriesPicker
from napari_cpclnet.gui.settings.preferences import Preferences
from napari_cpclnet.imaging.dicom import survey

from .test_manifest import MANIFEST

CORONAL = (1, 0, 0, 0, 0, -1)


def study(folder):
    """A CT of 6 slices with one missing, an MR of two phases, a colour picture and a localiser, in subfolders."""
    for number, height in enumerate((0, 5, 10, 15, 20, 30)):
        write_place(
            folder / "a" / f"{number}",
            (0, 0, height),
            SeriesDescription="Abdomen 5 mm",
            SeriesDate="20240229",
        )
    for number in range(8):
        write_place(
            folder / "b" / "c" / f"{number}",
            (0, 0, 4 * (number % 4)),
            series="1.2.4",
            SeriesDescription="T1 dynamic",
            Modality="MR",
            TemporalPositionIdentifier=1 + number // 4,
        )
    write_place(
        folder / "b" / "picture.dcm",
        (0, 0, 0),
        series="1.2.5",
        SeriesDescription="Fusion",
        SamplesPerPixel=3,
        PhotometricInterpretation="RGB",
        BitsAllocated=8,
        PixelData=bytes(12 * 14 * 3),
    )
    write_place(
        folder / "scout", (0, 0, 0), CORONAL, series="1.2.6", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    )
    (folder / "letter.txt").write_text("hello")
    return survey(folder)


@pytest.fixture
def listing(tmp_path):
    return study(tmp_path)


def test_the_table_says_what_a_user_needs_to_choose(listing, tmp_path):
    table = rows(listing)
    assert [row.cells[:6] for row in table] == [
        ("Abdomen 5 mm", "CT", "6", "7 x 12 x 14", "5 x 2 x 1.5", "2024-02-29"),
        ("Fusion", "CT", "1", "", "", ""),
        ("T1 dynamic, phase 1 of 2: time point 1", "MR", "4", "4 x 12 x 14", "4 x 2 x 1.5", ""),
        ("T1 dynamic, phase 2 of 2: time point 2", "MR", "4", "4 x 12 x 14", "4 x 2 x 1.5", ""),
        (f"({tmp_path.name})", "CT", "1", "1 x 12 x 14", "1 x 2 x 1.5", ""),
    ]
    assert [row.usable for row in table] == [True, False, True, True, True]
    assert "1 slice is missing" in table[0].cells[6]
    assert "Cannot be opened: holds colours" in table[1].cells[6]
    assert table[4].cells[6].startswith("Localiser.")
    assert first_choice(table) == 0
    assert headline(tmp_path, listing).startswith(f"{tmp_path.name} holds 4 DICOM series")
    assert "Secret" not in repr(table)


def test_one_series_opens_without_a_question(listing, tmp_path):
    assert choice_without_asking(listing) is None
    assert [info.id for info in usable(listing)] == ["1.2.3", "1.2.4#1", "1.2.4#2"]
    only = survey(tmp_path / "a")
    assert choice_without_asking(only) is only.series[0]


def test_several_are_chosen_by_mouse_and_keyboard(qtbot, listing, tmp_path):
    picker = SeriesPicker(tmp_path, listing)
    qtbot.addWidget(picker)
    assert [info.id for info in picker.chosen()] == ["1.2.3"]
    picker.table.selectAll()
    assert [info.id for info in picker.chosen()] == ["1.2.3", "1.2.4#1", "1.2.4#2", "1.2.6"]
    assert picker.open_button.text() == "Open 4 series"
    picker.table.clearSelection()
    assert not picker.open_button.isEnabled()
    picker.table.selectRow(2)
    with qtbot.waitSignal(picker.accepted, timeout=300_000):
        qtbot.mouseClick(picker.open_button, Qt.MouseButton.LeftButton)
    assert [info.id for info in picker.chosen()] == ["1.2.4#1"]


def test_a_double_click_opens_one_and_only_what_can_be_opened(qtbot, listing, tmp_path):
    picker = SeriesPicker(tmp_path, listing)
    qtbot.addWidget(picker)
    with qtbot.assertNotEmitted(picker.accepted):
        picker.table.cellDoubleClicked.emit(1, 0)
    with qtbot.waitSignal(picker.accepted, timeout=300_000):
        picker.table.cellDoubleClicked.emit(3, 0)
    assert [info.id for info in picker.chosen()] == ["1.2.4#2"]
    with qtbot.waitSignal(picker.rejected, timeout=300_000):
        picker.buttons.button(QDialogButtonBox.StandardButton.Cancel).click()


def test_without_a_window_all_that_can_be_opened_are(listing, tmp_path):
    layers = reader.get_reader(str(tmp_path))(str(tmp_path))
    assert [(kind, data.shape) for data, _, kind in layers] == [
        ("image", (7, 12, 14)),
        ("image", (4, 12, 14)),
        ("image", (4, 12, 14)),
    ]
    assert [kwargs["name"] for _, kwargs, _ in layers] == [
        "Abdomen 5 mm",
        "T1 dynamic phase 1",
        "T1 dynamic phase 2",
    ]


def test_what_was_repaired_is_said(listing, tmp_path):
    notification_manager.records.clear()
    reader.read(str(tmp_path / "a"))
    (said,) = notification_manager.records
    assert said.severity == "warning"
    assert "Abdomen 5 mm: 1 slice is missing" in said.message


def test_a_folder_of_one_series_that_cannot_be_opened_says_why(listing, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "b" / "picture.dcm").rename(tmp_path / "d" / "picture.dcm")
    with pytest.raises(ImageError, match="holds colours"):
        reader.read(str(tmp_path / "d"))


def test_files_given_together_are_slices_of_one_scan(tmp_path):
    for number in range(4):
        write_place(tmp_path / f"{number}.dcm", (0, 0, 3 * number))
    paths = [str(tmp_path / f"{number}.dcm") for number in range(1, 4)]
    ((data, kwargs, _),) = reader.get_reader(paths)(paths)
    assert data.shape == (3, 12, 14)
    ((data, kwargs, _),) = reader.get_reader(paths[0])(paths[0])
    assert (data.shape, kwargs["name"]) == ((1, 12, 14), "1")


def test_the_index_of_a_disc_opens_its_folder(tmp_path):
    for number in range(3):
        write_place(tmp_path / "IMG" / f"I{number}", (0, 0, 3 * number), UPRIGHT)
    (tmp_path / "DICOMDIR").write_bytes(b"index")
    path = str(tmp_path / "DICOMDIR")
    ((data, _, _),) = reader.get_reader(path)(path)
    assert data.shape == (3, 12, 14)


def test_a_large_series_stays_in_its_files(listing, tmp_path, monkeypatch):
    ((eager, _, _),) = reader.read(str(tmp_path / "a"))
    monkeypatch.setattr(reader, "preferences", lambda: Preferences(lazy_gib=0.000001))
    ((data, kwargs, _),) = reader.read(str(tmp_path / "a"))
    assert data.chunks == ((1,) * 7, (12,), (14,))
    np.testing.assert_array_equal(np.asarray(data), eager)
    assert kwargs["metadata"]["napari_cpclnet"]["unit"] == "HU"


@pytest.mark.gui
def test_a_dropped_folder_asks_and_opens_what_was_chosen(qtbot, make_napari_viewer, tmp_path, monkeypatch):
    study(tmp_path)
    viewer = make_napari_viewer(show=True)
    if "napari-cpclnet" not in PluginManager.instance():  # an installed package is known already
        PluginManager.instance().register(PluginManifest.from_file(MANIFEST))
    viewer.window._qt_window.resize(1200, 800)

    def choose(dialog):
        dialog.show()
        dialog.grab().save(str(tmp_path / "picker.png"))
        dialog.table.clearSelection()
        dialog.table.selectRow(3)
        return dialog.DialogCode.Accepted

    monkeypatch.setattr(SeriesPicker, "exec", choose)
    viewer.open(str(tmp_path), plugin="napari-cpclnet")
    assert [layer.name for layer in viewer.layers] == ["T1 dynamic phase 2"]
    monkeypatch.setattr(SeriesPicker, "exec", lambda dialog: dialog.DialogCode.Rejected)
    viewer.open(str(tmp_path), plugin="napari-cpclnet")
    assert len(viewer.layers) == 1
    assert (tmp_path / "picker.png").stat().st_size > 5000
