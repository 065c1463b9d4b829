"""What a user does in a napari window, done through Qt: menus, buttons, keys, dialogs and strokes on the canvas.

Shared by the test of a working day and by ``docs/make_screenshots.py``; knows nothing of pytest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from npe2 import PluginManager, PluginManifest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QAction, QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QApplication,
    QDialogButtonBox,
    QFileDialog,
    QLineEdit,
    QMenu,
    QPushButton,
    QTableWidget,
    QTreeWidget,
    QWidget,
)

import napari_cpclnet
from napari_cpclnet.gui.layers.view import jump_to_slice
from napari_cpclnet.gui.panel import CPCLNetPanel

LEFT = Qt.MouseButton.LeftButton


def register_plugin() -> None:
    """Tell napari of the plugin of this checkout, if none is installed; before the first viewer."""
    manager = PluginManager.instance()
    if "napari-cpclnet" not in manager:
        manager.register(PluginManifest.from_file(Path(napari_cpclnet.__file__).parent / "napari.yaml"))


class Hands:
    """The hands of a user at a napari viewer."""

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self.window = viewer.window._qt_window
        self.canvas = viewer.window._qt_viewer.canvas

    # Waiting -----------------------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Let the window live."""
        QTest.qWait(int(seconds * 1000))

    def until(self, true: Callable[[], Any], what: str, seconds: float = 600.0) -> None:
        """Let the window live until something is true; AssertionError naming ``what`` if it never is."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"waited {seconds:.0f} s in vain: {what}"
            QTest.qWait(10)

    # Menus, buttons, keys, dialogs -------------------------------------------------------------------------------

    def menu(self, *path: str) -> QAction:
        """The action at the end of a path of napari's menus, each named as it begins, without ``&``."""
        return self.menus(*path)[-1]

    def menus(self, *path: str) -> list[QAction]:
        """All actions along such a path."""
        actions, found = self.window.menuBar().actions(), []
        for text in path:
            fitting = [one for one in actions if one.text().replace("&", "").startswith(text)]
            assert fitting, f"no '{text}' among {[one.text() for one in actions]}"
            found.append(fitting[0])
            if (menu := fitting[0].menu()) is not None:
                menu.aboutToShow.emit()
                actions = menu.actions()
        return found

    def open_panel(self) -> CPCLNetPanel:
        """Open the panel from the menu, as napari's users do."""
        self.menu("Layers", "Segment", "Few-shot segmentation").trigger()
        docks = self.viewer.window.dock_widgets.values()
        self.until(lambda: any(isinstance(dock, CPCLNetPanel) for dock in docks), "the panel opens")
        return next(dock for dock in docks if isinstance(dock, CPCLNetPanel))

    def click(self, button: QWidget) -> None:
        """Click a button that can be seen and is enabled."""
        assert button.isEnabled(), f"'{button.text()}' cannot be pressed"
        QTest.mouseClick(button, LEFT)

    def choose(self, button: QPushButton, text: str) -> None:
        """Open the menu of a button and click the entry whose text begins so."""

        self.click(button)
        menu: QMenu = button.menu()
        self.until(menu.isVisible, f"the menu of '{button.text()}' opens")
        entry = next((one for one in menu.actions() if one.text().startswith(text)), None)
        assert entry is not None, f"no '{text}' among {[one.text() for one in menu.actions()]}"
        QTest.mouseClick(menu, LEFT, pos=menu.actionGeometry(entry).center())

    def click_row(self, tree: QTreeWidget, text: str) -> None:
        """Click the first row of a tree whose first column reads so."""
        (item, *_) = tree.findItems(text, Qt.MatchFlag.MatchExactly | Qt.MatchFlag.MatchRecursive)
        tree.scrollToItem(item)
        QTest.mouseClick(tree.viewport(), LEFT, pos=tree.visualItemRect(item).center())

    def click_cell(self, table: QTableWidget, row: int, column: int) -> None:
        """Click a cell of a table."""
        item = table.item(row, column)
        table.scrollToItem(item)
        QTest.mouseClick(table.viewport(), LEFT, pos=table.visualItemRect(item).center())

    def press(self, shortcut: str) -> None:
        """Press a key or a shortcut of `napari_cpclnet.gui.widgets.shortcuts`, such as ``Control-Alt-R``."""
        *modifiers, key = shortcut.split("-")
        held = Qt.KeyboardModifier.NoModifier
        for modifier in modifiers:
            held |= getattr(Qt.KeyboardModifier, f"{modifier}Modifier")
        QTest.keyClick(self.canvas.native, getattr(Qt.Key, f"Key_{key}"), held)

    def answer_file_dialog(self, path: Path, act: Callable[[], Any], file_type: str = "") -> None:
        """Do something that asks for a file or folder, choose a type by how it begins, and type the name."""
        answered: list[bool] = []

        def answer() -> None:
            dialog = next(
                (w for w in QApplication.topLevelWidgets() if isinstance(w, QFileDialog) and w.isVisible()),
                None,
            )
            if dialog is None:
                if not tries or tries.pop() is None:
                    return
                QTimer.singleShot(100, answer)
                return
            if file_type:
                (kind,) = (one for one in dialog.nameFilters() if one.startswith(file_type))
                dialog.selectNameFilter(kind)
            dialog.findChild(QLineEdit).setText(str(path))
            boxes = dialog.findChild(QDialogButtonBox)
            answered.append(True)
            boxes.buttons()[0].click()

        tries = [True] * 50
        QTimer.singleShot(100, answer)
        act()
        assert answered, "nobody asked for a file"

    # The canvas --------------------------------------------------------------------------------------------------

    def go_to(self, layer: Any, index: int, axis: int = 0) -> None:
        """Show a slice of a layer."""
        jump_to_slice(self.viewer, layer, axis, index)
        QApplication.processEvents()

    def on_canvas(self, layer: Any, index: Sequence[float]) -> QPoint:
        """Where on the canvas a voxel of a layer lies."""
        return self.world_on_canvas(layer.data_to_world(index))

    def world_on_canvas(self, world: Sequence[float]) -> QPoint:
        """Where on the canvas a place in the world lies."""
        row, column = (world[axis] for axis in self.viewer.dims.displayed)
        view = self.canvas.view
        x, y = (view.transform * view.scene.transform).map([column, row])[:2]
        return QPoint(round(x), round(y))

    def drag(self, layer: Any, indices: Sequence[Sequence[float]]) -> None:
        """Draw with the left button along voxels of a layer."""
        canvas = self.canvas.native
        points = [self.on_canvas(layer, index) for index in indices]
        area = canvas.rect()
        assert all(area.contains(point) for point in points), "the stroke leaves the canvas"
        self.move(points[0], Qt.MouseButton.NoButton)
        QTest.mousePress(canvas, LEFT, pos=points[0])
        for point in points[1:]:
            self.move(point)
        QTest.mouseRelease(canvas, LEFT, pos=points[-1])
        self.move(QPoint(2, 2), Qt.MouseButton.NoButton)  # so that no cursor covers what was drawn

    def move(self, point: QPoint, held: Qt.MouseButton = LEFT) -> None:
        """Move the mouse on the canvas, again and again until napari's cursor is there.

        Vispy drops a move that comes within 10 ms of another one, be it ours or one of the display's own, and napari
        looks at the last one of some milliseconds when it finds the time.
        """

        def moved() -> bool:
            _move(self.canvas.native, point, held)
            return self.world_on_canvas(self.viewer.cursor.position) == point

        self.until(moved, f"the cursor moves to {point.x()}, {point.y()}")


def _move(widget: QWidget, point: QPoint, held: Qt.MouseButton = LEFT) -> None:
    """Move the mouse, with a button held, which QTest.mouseMove cannot."""
    event = QMouseEvent(
        QEvent.Type.MouseMove,
        QPointF(point),
        QPointF(widget.mapToGlobal(point)),
        Qt.MouseButton.NoButton,
        held,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(widget, event)
