"""Tooltips, shortcuts, help and the status line."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtCore import QUrl
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QScrollBar, QTabBar

from napari_cpclnet.gui.jobs import device_status as machine_module
from napari_cpclnet.gui.jobs.device_status import DeviceStatus, Note, Ready
from napari_cpclnet.gui.widgets import memory_use, shortcuts
from napari_cpclnet.gui.widgets.run_bar import RunState
from napari_cpclnet.gui.widgets.shortcuts import WHAT, printed
from napari_cpclnet.segmentation.settings import RunSettings

from .doubles import add_volume, factory, make_volume
from .test_run import start, wait_ready

ASKS = (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit)


def names_of_shortcuts() -> list[str]:
    return [value for name, value in vars(shortcuts).items() if name.isupper() and isinstance(value, str)]


def keys_of_napari() -> set[str]:
    """Keys of napari's actions, layers and menus on this platform, as Qt writes them."""
    from app_model.types import KeyBinding
    from napari._app_model import get_app_model
    from napari._qt._qapp_model.qactions import init_qactions
    from napari.utils.shortcuts import default_shortcuts
    from qtpy.QtGui import QKeySequence

    found = {str(key) for keys in default_shortcuts.values() for key in keys}
    init_qactions()
    for registered in get_app_model().keybindings:
        found.add(str(KeyBinding.from_int(int(registered.keybinding.to_int()))))
    return {QKeySequence(key).toString() for key in found}


def test_no_shortcut_is_one_of_napari(make_panel):
    make_panel()
    from qtpy.QtGui import QKeySequence

    taken = keys_of_napari()
    assert QKeySequence("Ctrl+Alt+O").toString() in taken  # else this test compares with nothing
    assert QKeySequence("Ctrl+Y").toString() in taken
    ours = {QKeySequence(key.replace("Control", "Ctrl").replace("-", "+")).toString() for key in WHAT}
    assert not ours & taken


def test_every_shortcut_is_there_once_and_says_what_it_does():
    names = [*names_of_shortcuts(), *shortcuts.CLASS_KEYS]
    assert sorted(names) == sorted(WHAT)
    assert len(set(names)) == len(names)


def test_every_shortcut_is_bound_and_let_go(make_panel, viewer):
    from qtpy.QtCore import QCoreApplication, QEvent

    panel = make_panel()
    bound = len(viewer.keymap)
    assert bound == len(WHAT)
    panel.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert not viewer.keymap


def test_the_help_page_lists_every_shortcut(make_panel):
    text = make_panel().help.browser.toPlainText()
    for key, what in WHAT.items():
        assert printed(key) in text
        assert what in text


def test_whatever_can_be_pressed_or_filled_in_has_a_tooltip(make_panel, viewer):
    panel = make_panel(factory())
    add_volume(viewer, make_volume("ct"))
    panel.segment.refresh()
    panel.session.new_support_labels().data[2, 3:6, 3:6] = 1
    panel.segment.refresh()
    asked = [widget for kind in ASKS for widget in panel.findChildren(kind)]
    assert len(asked) > 40
    silent = [
        f"{type(widget).__name__} {getattr(widget, 'text', str)()!r} in {type(widget.parent()).__name__}"
        for widget in asked
        if not widget.toolTip() and not _is_part(widget)
    ]
    assert not silent


def _is_part(widget) -> bool:
    """Qt's own parts of another widget, which has the tooltip."""
    parent = widget.parent()
    return widget.objectName().startswith("qt_") or isinstance(parent, (*ASKS, QScrollBar, QTabBar))


def test_every_tab_has_a_tooltip(make_panel):
    tabs = make_panel().tabs
    assert [tabs.tabText(i) for i in range(tabs.count())] == ["Segment", "Train", "Evaluate", "Help"]
    assert all(tabs.tabToolTip(i) for i in range(tabs.count()))


@pytest.mark.slow
def test_the_example_of_the_help_page_is_ready_to_run(qtbot, make_panel, viewer):
    panel = make_panel(factory())
    panel.tabs.setCurrentWidget(panel.help)
    panel.help.browser.anchorClicked.emit(QUrl("example"))
    qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=300_000)
    assert panel.tabs.currentWidget() is panel.segment
    assert len(panel.session.slices.painted_slices()) == 5
    job = panel.session.job()
    assert [query.layer for query in job.queries] == [viewer.layers[0]]
    assert "press Run" in panel.segment.bar.message.text()


def test_the_hint_leads_to_the_help(make_panel):
    panel = make_panel()
    panel.segment.first_steps.help.click()
    assert panel.tabs.currentWidget() is panel.help


def test_the_status_line_names_device_weights_memory_and_state(make_panel):
    text = make_panel().segment.bar.status.text()
    assert re.fullmatch(r"automatic · ready · \d+\.\d GiB · bundled weights", text)


def test_memory_of_the_gpu_is_told_only_where_there_is_some(monkeypatch):
    def torch(initialised, reserved):
        cuda = SimpleNamespace(
            is_initialized=lambda: initialised, device_count=lambda: 1, memory_reserved=lambda _: reserved
        )
        return SimpleNamespace(cuda=cuda)

    monkeypatch.setattr(memory_use, "_resident", lambda: 3 << 29)
    for module, words in (
        (None, "1.5 GiB"),
        (SimpleNamespace(), "1.5 GiB"),
        (torch(False, 1 << 30), "1.5 GiB"),
        (torch(True, 0), "1.5 GiB"),
        (torch(True, 5 << 29), "1.5 GiB, GPU 2.5 GiB"),
    ):
        monkeypatch.setattr(memory_use, "sys", SimpleNamespace(modules={"torch": module}))
        assert memory_use.memory_words() == words


def test_what_the_machine_lacks_is_said_once(monkeypatch):
    monkeypatch.setattr(machine_module, "_unused_gpu", lambda: "Install this.")
    segmenter = SimpleNamespace(device="cpu", notes=())
    machine = DeviceStatus(segmenter, RunSettings())
    assert list(machine.changes()) == [Ready("CPU", "weights untrained"), Note("Install this.")]
    assert list(machine.changes()) == []
    assert list(DeviceStatus(segmenter, RunSettings(device="cpu")).changes()) == [
        Ready("CPU", "weights untrained")
    ]


def test_a_run_that_falls_back_to_the_cpu_says_so_once_and_finishes(qtbot, viewer, make_panel, monkeypatch):
    monkeypatch.setattr(machine_module, "_unused_gpu", lambda: "")
    make = factory()

    def on_a_small_gpu(options):
        segmenter = make(options)
        segmenter.device, segmenter.notes = "cuda", ()
        predict = segmenter.predict

        def and_then_out_of_memory(*args, **kwargs):
            for number, one in enumerate(predict(*args, **kwargs)):
                if number == 2:
                    segmenter.device, segmenter.notes = "cpu", ("The memory of the GPU does not suffice.",)
                yield one

        segmenter.predict = and_then_out_of_memory
        return segmenter

    panel = make_panel(on_a_small_gpu)
    start(panel, viewer, "ct", "mr")
    wait_ready(qtbot, panel)
    bar = panel.segment.bar
    assert bar.status.text().startswith("CPU · ")
    done, note = bar.message.text().split("\n")
    assert (done[:5], note) == ("Done:", "The memory of the GPU does not suffice.")
    assert bar.message.property("kind") == "hint"
    np.testing.assert_array_equal(viewer.layers["mr – CPCLNet"].data > 0, viewer.layers["mr"].data > 0.5)
    bar.press()
    wait_ready(qtbot, panel)
    assert bar.state is RunState.READY
    assert "\n" not in bar.message.text()
