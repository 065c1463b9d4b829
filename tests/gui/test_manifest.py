"""What napari learns of us, and that it need not wait for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from npe2 import PluginManager, PluginManifest

import napari_cpclnet

MANIFEST = Path(napari_cpclnet.__file__).parent / "napari.yaml"


@pytest.fixture
def manager():
    manager = PluginManager()
    manager.register(PluginManifest.from_file(MANIFEST))
    return manager


def test_every_command_can_be_imported():
    manifest = PluginManifest.from_file(MANIFEST)
    manifest.validate_imports()
    for command in manifest.contributions.commands:
        assert command.id.startswith("napari-cpclnet.")


def test_every_menu_exists_in_napari():
    from napari._app_model.constants import MenuId

    contributions = PluginManifest.from_file(MANIFEST).contributions
    ours = {submenu.id for submenu in contributions.submenus}
    assert contributions.menus
    assert set(contributions.menus) - ours <= {str(menu.value) for menu in MenuId}
    assert ours <= set(contributions.menus)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.NRRD", "a.mha", "a.mhd", "a.dcm"])
def test_reader_is_offered_for_medical_files(manager, name):
    assert any(r.command == "napari-cpclnet.get_reader" for r in manager.iter_compatible_readers(name))


@pytest.mark.parametrize("name", ["a.seg.nrrd", "a.dcm", "a.png"])
def test_writer_of_labels_is_offered_for_segmentation_formats(manager, name):
    writer, path = manager.get_writer(name, ["labels"])
    assert writer is not None
    assert path == name


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mha"])
@pytest.mark.parametrize("kind", ["labels", "image"])
def test_writer_is_offered(manager, name, kind):
    writer, path = manager.get_writer(name, [kind])
    assert writer is not None
    assert path == name


@pytest.mark.slow
@pytest.mark.parametrize("key", ["painted_ct_and_mr", "ct_phantom", "mr_phantom", "pet_phantom"])
def test_sample_data_are_scans_with_labels_on_their_grid(key):
    from napari.layers import Layer

    from napari_cpclnet.gui.contributions import sample_data
    from napari_cpclnet.gui.layers.scan_layers import same_grid

    layers = [Layer.create(*one) for one in getattr(sample_data, key)()]
    labels = layers[-1]
    assert labels._type_string == "labels"
    assert same_grid(labels, layers[-2])
    assert np.asarray(labels.data).any()


def test_the_scans_to_paint_on_come_without_labels():
    from napari_cpclnet.gui.contributions.sample_data import ct_and_mr

    assert [(kwargs["name"], kind) for _, kwargs, kind in ct_and_mr()] == [
        ("phantom_mr", "image"),
        ("phantom_ct", "image"),
    ]


def test_opening_the_panel_imports_nothing_heavy():
    script = """
import sys
import napari
from napari.components import ViewerModel
from npe2 import PluginManifest
from qtpy.QtWidgets import QApplication
app = QApplication([])
napari.layers, napari.qt.threading.create_worker
viewer = ViewerModel()
viewer.add_image(__import__("numpy").zeros((3, 8, 8)), scale=(2, 1, 1))
before = set(sys.modules)
manifest = PluginManifest.from_file(sys.argv[1])
manifest.validate_imports()
from napari_cpclnet.gui.panel import CPCLNetPanel
panel = CPCLNetPanel(viewer)
app.processEvents()
new = {name.split(".")[0] for name in set(sys.modules) - before}
heavy = new & {"torch", "SimpleITK", "monai", "skimage", "pydicom", "matplotlib", "scipy"}
assert not heavy, heavy
for name in ("torch", "SimpleITK", "monai", "pydicom", "matplotlib"):
    assert name not in sys.modules, name
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(MANIFEST)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
