"""How long the window stood still, and whose code it was: the event loop watched from within and from beside.

Shared by tests and by ``benchmarks/speed/responsiveness.py``; knows nothing of pytest.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import re
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, QTimer

BEAT_MS = 5
LOOK_S = 0.01
# A block that is worth its stacks.
LONG_S = 0.05
_LINE = re.compile(r'File "(.*)", line \d+ in (.*)')
_WAITING = ("threading.py", "queue.py", "subprocess.py", "selectors.py", "connection.py")
_PACKAGES = ("napari_cpclnet", "napari", "vispy", "app_model", "psygnal", "npe2", "superqt", "magicgui")

GARBAGE = "Python looks for garbage"
INDIVISIBLE = {
    "napari makes a layer": ("napari.layers.base.base", "PostInit.__call__"),
    "napari adds a layer": ("napari.components.layerlist", "LayerList.insert"),
    "napari turns all layers to 3-D or back": ("napari.components.dims", "Dims.__setattr__", "ndisplay"),
    "napari makes a dock": ("napari._qt.qt_main_window", "Window._add_viewer_dock_widget"),
    "napari reads the manifests of plugins": ("npe2", "PluginManager.discover"),
    "napari draws the canvas": ("vispy.scene.canvas", "SceneCanvas._draw_scene"),
}
"""Calls that are napari's own and cannot be divided by who calls them; what they call of the plugin's counts as its."""


@dataclass
class Block:
    """The window's thread computed for so many seconds without a turn of the event loop.

    ``still``: seconds by the clock, without those in which the thread waited for a processor; ``apart``: seconds of the
    longest call of each kind of `INDIVISIBLE`, and of each search for garbage; ``places``: whose code, and where, in
    the stacks seen meanwhile.
    """

    seconds: float
    still: float = 0.0
    apart: dict[str, float] = field(default_factory=dict)
    places: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def place(self) -> tuple[str, str]:
        """Whose code was seen most often, and where."""
        return self.places.most_common(1)[0][0] if self.places else ("", "")

    @property
    def ours(self) -> float:
        """What is left without what nobody but napari or Python can shorten."""
        return self.seconds - sum(self.apart.values())


class EventLoopWatch:
    """Longest time for which the window's thread was busy without a turn of the event loop.

    Its own time, not that of the clock: another program that wants the processor is not its fault. What it waits for in
    ``threading`` and the like counts by the clock.
    """

    def __init__(self) -> None:
        self._main = threading.main_thread().ident
        self._clock = time.pthread_getcpuclockid(self._main)
        self._delays = Path(f"/proc/self/task/{threading.main_thread().native_id}/schedstat")
        self._restore = [self._timed(kind, *where) for kind, where in INDIVISIBLE.items()]
        self._restore.append(self._told_apart())
        self._searching = self._plugins = 0.0
        gc.callbacks.append(self._on_garbage)
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.beat)
        self._timer.start(BEAT_MS)
        self._dump = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the watch
        self._ended = threading.Event()
        self._looker = threading.Thread(target=self._look, daemon=True)
        self.begin()
        self._looker.start()

    def begin(self) -> None:
        """Forget what was."""
        self.blocks: list[Block] = []
        self._begin_turn()

    def end(self) -> None:
        """Watch no more."""
        self._timer.stop()
        self._ended.set()
        self._looker.join()
        self._dump.close()
        gc.callbacks.remove(self._on_garbage)
        for restore in self._restore:
            restore()

    @property
    def worst(self) -> Block:
        """The block with the most that is ours."""
        return max(self.blocks, key=lambda block: block.ours, default=Block(0.0))

    def beat(self) -> None:
        """The loop turns."""
        seconds = time.thread_time() - self._since + self._waited
        if seconds > LONG_S or not self.blocks:
            still = time.monotonic() - self._began - (self._delayed() - self._delay)
            self.blocks.append(Block(seconds, still, self._apart, self._places))
        self._begin_turn()

    @contextmanager
    def script(self) -> Iterator[None]:
        """What is computed inside does not count: it is the script's, which a user does not have."""
        self.beat()
        yield
        self._begin_turn()

    def _begin_turn(self) -> None:
        self._places: Counter[tuple[str, str]] = Counter()
        self._apart: dict[str, float] = {}
        self._waited = 0.0
        self._began, self._delay = time.monotonic(), self._delayed()
        self._since = time.thread_time()

    def _delayed(self) -> float:
        """Seconds for which the thread waited for a processor so far, where the system counts them."""
        return int(self._delays.read_text().split()[1]) / 1e9 if self._delays.exists() else 0.0

    def _timed(self, kind: str, module: str, name: str, first: str = "") -> Callable[[], None]:
        """Note how long a function takes, if that is its first argument; returns what undoes that."""
        owner = importlib.import_module(module)
        *classes, last = name.split(".")
        for part in classes:
            owner = getattr(owner, part)
        function = getattr(owner, last)

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if first and args[1] != first:
                return function(*args, **kwargs)
            before, others = time.thread_time(), self._apart.get(GARBAGE, 0.0) + self._plugins
            try:
                return function(*args, **kwargs)
            finally:
                others = self._apart.get(GARBAGE, 0.0) + self._plugins - others
                seconds = time.thread_time() - before - others
                self._apart[kind] = max(seconds, self._apart.get(kind, 0.0))

        setattr(owner, last, timed)
        return lambda: setattr(owner, last, function)

    def _told_apart(self) -> Callable[[], None]:
        """Note how long the plugin takes in what napari calls of it; returns what undoes that."""
        from napari.utils.events import EventEmitter

        invoke = EventEmitter._invoke_callback

        def invoked(emitter: Any, callback: Any, event: Any) -> Any:
            if not str(getattr(callback, "__module__", "")).startswith("napari_cpclnet"):
                return invoke(emitter, callback, event)
            before, plugins, garbage = time.thread_time(), self._plugins, self._apart.get(GARBAGE, 0.0)
            try:
                return invoke(emitter, callback, event)
            finally:
                garbage = self._apart.get(GARBAGE, 0.0) - garbage
                self._plugins = plugins + time.thread_time() - before - garbage

        EventEmitter._invoke_callback = invoked
        return lambda: setattr(EventEmitter, "_invoke_callback", invoke)

    def _on_garbage(self, phase: str, _info: Any) -> None:
        if threading.get_ident() != self._main:
            return
        if phase == "start":
            self._searching = time.thread_time()
        else:
            seconds = time.thread_time() - self._searching
            self._apart[GARBAGE] = self._apart.get(GARBAGE, 0.0) + seconds

    def _stack(self) -> list[tuple[str, str]]:
        """Files and functions the window's thread is in, innermost first.

        As text: a frame held by another thread would outlive its call, and what is painted with in it would go with it.
        """
        self._dump.seek(0)
        self._dump.truncate()
        faulthandler.dump_traceback(self._dump, all_threads=True)
        self._dump.seek(0)
        _, _, rest = self._dump.read().decode(errors="replace").partition(f"hread 0x{self._main:016x} ")
        return _LINE.findall(rest.partition("\n\n")[0])

    def _look(self) -> None:
        """Look at the stack of the window's thread now and then while the loop does not turn."""
        before = time.monotonic()
        while not self._ended.wait(LOOK_S):
            now, places = time.monotonic(), self._places
            standing = time.monotonic() - self._began
            stack = self._stack() if standing > 2 * LOOK_S else []
            if stack and stack[0][0].endswith(_WAITING):
                self._waited += min(now - before, 2 * LOOK_S)  # this thread may wait for a processor, too
            if stack and time.clock_gettime(self._clock) - self._since > LOOK_S:
                places[place_of(stack)] += 1
            before = now


def place_of(stack: list[tuple[str, str]]) -> tuple[str, str]:
    """Whose code a stack is in, and where: ours as ``module.function``, and what it calls of napari's."""
    owner, called = "", ""
    for name, function in stack:
        path = Path(name)
        package = next((one for one in _PACKAGES if one in path.parts), "")
        owner = owner or package
        if package == "napari_cpclnet":
            return owner, f"{path.stem}.{function}" + (f" > {called}" if called else "")
        if package:
            called = f"{package} {path.stem}.{function}"
    return owner or "Qt", called
