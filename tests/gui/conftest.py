from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")

from napari.components import ViewerModel
from qtpy.QtCore import QCoreApplication, QEvent, QThreadPool

from napari_cpclnet.gui.panel import CPCLNetPanel
from napari_cpclnet.gui.segment import mask_import, run_control
from napari_cpclnet.gui.session.session import Session


@pytest.fixture(autouse=True, scope="session")
def libraries_are_not_searched_for_garbage() -> None:
    """Every panel is thrown away for good at the end of its test; most of that time went into looking at modules."""
    import napari_cpclnet.evaluation
    import napari_cpclnet.training  # noqa: F401

    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_thread_is_left_alive() -> Iterator[None]:
    yield
    assert QThreadPool.globalInstance().waitForDone(30_000), "a worker thread outlived its test"


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where recent projects and unsaved work go: never to the user's own folder."""
    folder = tmp_path / "state"
    monkeypatch.setenv("CPCLNET_STATE_DIR", str(folder))
    return folder


@pytest.fixture(autouse=True)
def nobody_waits_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that a test did not expect fails it, instead of waiting for ever."""

    def ask(_parent: Any, text: str, choices: Any) -> str:
        raise AssertionError(f"asked: {text} {choices}")

    monkeypatch.setattr(run_control, "ask", ask)
    monkeypatch.setattr(mask_import, "ask", ask)
    monkeypatch.setattr(mask_import, "ask_classes", ask)


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def make_panel(qtbot: Any, viewer: ViewerModel) -> Iterator[Callable[..., CPCLNetPanel]]:
    """Panels on a viewer model, deleted for good at the end."""
    panels: list[CPCLNetPanel] = []

    def make(make_segmenter: Any = None, train: Any = None) -> CPCLNetPanel:
        panels.append(CPCLNetPanel(viewer, Session(viewer, make_segmenter, train)))
        return panels[-1]

    yield make
    for panel in panels:
        with suppress(RuntimeError):  # the test deleted it
            panel.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QCoreApplication.processEvents()
    gc.collect()
