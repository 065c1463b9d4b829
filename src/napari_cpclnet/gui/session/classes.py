"""The classes of a session: label value, name, colour and code, the same on every support and result. No Qt."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from napari_cpclnet.gui.layers.class_names import Color, default_name

# Told apart on grey, by people who see red and green alike, too.
PALETTE: tuple[Color, ...] = (
    (230, 97, 75),
    (77, 163, 255),
    (244, 196, 48),
    (64, 192, 140),
    (188, 128, 235),
    (255, 145, 60),
    (102, 216, 232),
    (240, 128, 180),
    (168, 206, 82),
    (196, 156, 110),
)


@dataclass(frozen=True)
class ClassInfo:
    """What is known of a class.

    Parameters
    ----------
    name
        As the user calls it.
    color
        Red, green and blue (0 to 255); None: that of its label value.
    code
        A name that the terminology file knows ("liver", "right kidney"); None: the class's own name is looked up.
    automatic
        Whether nobody made it: its value was painted, and it goes with that paint.
    """

    name: str
    color: Color | None = None
    code: str | None = None
    automatic: bool = False


PRESETS: tuple[ClassInfo, ...] = tuple(
    ClassInfo(name, color, name)
    for name, color in (
        ("liver", (214, 108, 80)),
        ("spleen", (150, 110, 220)),
        ("right kidney", (240, 200, 70)),
        ("left kidney", (120, 200, 90)),
        ("pancreas", (250, 170, 110)),
        ("gallbladder", (80, 190, 120)),
        ("stomach", (225, 130, 190)),
        ("duodenum", (190, 160, 60)),
        ("bladder", (90, 180, 235)),
        ("prostate", (200, 140, 110)),
        ("right adrenal gland", (245, 140, 70)),
        ("left adrenal gland", (200, 100, 40)),
        ("aorta", (230, 60, 70)),
        ("inferior vena cava", (70, 120, 230)),
        ("portal vein", (60, 170, 215)),
        ("esophagus", (205, 160, 130)),
        ("heart", (205, 60, 95)),
        ("right lung", (110, 200, 225)),
        ("left lung", (80, 165, 195)),
        ("spinal cord", (245, 230, 120)),
        ("bone", (235, 225, 195)),
        ("muscle", (190, 80, 80)),
        ("tumor", (255, 80, 160)),
        ("lymph node", (150, 220, 130)),
    )
)

# Distance of two colours that are hard to tell apart, in steps of 0 to 255.
ALIKE = 60

_DEFAULT_NAME = re.compile(r"label \d+$")


def default_color(value: int) -> Color:
    """Colour of a label value that nobody gave one."""
    if 1 <= value <= len(PALETTE):
        return PALETTE[value - 1]
    red, green, blue = colorsys.hsv_to_rgb(value * 0.61803 % 1, 0.6, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def preset_of(name: str) -> ClassInfo | None:
    """Preset of that name, whatever the case."""
    return next((one for one in PRESETS if one.name == _key(name)), None)


def offered(own: Iterable[str]) -> list[ClassInfo]:
    """Classes to choose from: the user's own, then the common ones that are not among them."""
    first = [preset_of(name) or ClassInfo(name) for name in own]
    return [*first, *(one for one in PRESETS if one not in first)]


class Classes:
    """Label value to class, in the order of the values."""

    def __init__(self, classes: Mapping[int, ClassInfo] | None = None) -> None:
        self._classes: dict[int, ClassInfo] = {}
        self.replace(classes or {})

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._classes))

    def __len__(self) -> int:
        return len(self._classes)

    def __contains__(self, value: object) -> bool:
        return value in self._classes

    def __getitem__(self, value: int) -> ClassInfo:
        return self._classes[value]

    def items(self) -> list[tuple[int, ClassInfo]]:
        """All classes by value."""
        return sorted(self._classes.items())

    def replace(self, classes: Mapping[int, ClassInfo]) -> None:
        """Take these classes and no others, as when a project is opened."""
        self._classes = {int(value): info for value, info in classes.items() if value > 0}

    def set(self, classes: Mapping[int, ClassInfo | None]) -> None:
        """Make these values what they were once; None: no class."""
        for value, info in classes.items():
            if info is None:
                self._classes.pop(value, None)
            else:
                self._classes[value] = info

    def name(self, value: int) -> str:
        """Name of a value, ``label 3`` where it has none."""
        return self._classes[value].name if value in self._classes else default_name(value)

    def color(self, value: int) -> Color:
        """Colour in which a value is drawn."""
        own = self._classes[value].color if value in self._classes else None
        return own or default_color(value)

    def term(self, value: int) -> str:
        """What to look up in the terminology for a value."""
        info = self._classes.get(value)
        return default_name(value) if info is None else info.code or info.name

    def terms(self) -> dict[int, str]:
        """What to look up for the classes whose name is not what the terminology calls them."""
        return {value: info.code for value, info in self.items() if info.code and info.code != info.name}

    def names(self) -> dict[int, str]:
        """Name of every class."""
        return {value: info.name for value, info in self.items()}

    def colors(self) -> dict[int, Color]:
        """Colour of every class and of the first values that are none yet."""
        return {value: self.color(value) for value in sorted({*self._classes, *range(1, len(PALETTE) + 1)})}

    def value_of(self, name: str) -> int | None:
        """Value of the class of that name, whatever the case."""
        return next((value for value, info in self.items() if _key(info.name) == _key(name)), None)

    def add(
        self,
        name: str = "",
        color: Color | None = None,
        code: str | None = None,
        *,
        value: int | None = None,
    ) -> int:
        """Value of the class ``name``, a new one if there is none yet; colour and code of a common organ by themselves.

        ``value``: what the new class should have, if it is free.
        """
        known = self.value_of(name) if name.strip() else None
        if known is not None:
            return known
        if value is None or value in self._classes:
            value = max(self._classes, default=0) + 1
        info = _completed(ClassInfo(name.strip() or default_name(value), color, code))
        self._classes[value] = info if info.color else replace(info, color=self._other_color(value))
        return value

    def ensure(self, values: Iterable[int]) -> None:
        """Make classes of values that are painted and have no name."""
        for value in values:
            if value > 0 and value not in self._classes:
                color = self._other_color(value)
                self._classes[value] = ClassInfo(default_name(value), color, automatic=True)

    def drop_unused(self, used: Collection[int]) -> bool:
        """Forget classes that nobody named and that are not in use any more; whether there were any."""
        gone = [value for value, info in self.items() if info.automatic and value not in used]
        for value in gone:
            del self._classes[value]
        return bool(gone)

    def _other_color(self, value: int) -> Color | None:
        """Colour for a value whose own would be taken for that of another class; None: its own will do."""
        taken = [self.color(other) for other in self._classes if other != value]
        if not taken or _nearest(default_color(value), taken) >= ALIKE:
            return None
        return max(PALETTE, key=lambda color: _nearest(color, taken))

    def rename(self, value: int, name: str) -> bool:
        """Give a class another name, an empty one for the default; False if another class has it."""
        name = name.strip() or default_name(value)
        if self.value_of(name) not in (None, value):
            return False
        old = self._classes.get(value, ClassInfo(default_name(value)))
        before = preset_of(old.name)
        if before is not None and (old.color, old.code) == (before.color, before.code):
            old = ClassInfo(old.name)  # what came with the old name goes with it
        self._classes[value] = _completed(replace(old, name=name, automatic=False))
        return True

    def set_color(self, value: int, color: Color | None) -> None:
        """Give a class a colour; None: that of its value."""
        self.ensure([value])
        self._classes[value] = replace(self._classes[value], color=color, automatic=False)

    def set_code(self, value: int, code: str | None) -> None:
        """Give a class a term of the terminology; None: its name is looked up."""
        self.ensure([value])
        self._classes[value] = replace(self._classes[value], code=code or None, automatic=False)

    def remove(self, value: int) -> None:
        """Forget a class."""
        self._classes.pop(value, None)

    def join(
        self,
        names: Mapping[int, str],
        colors: Mapping[int, Color] | None = None,
        *,
        painted: Iterable[int] = (),
    ) -> dict[int, int]:
        """Take over the classes of a mask by name.

        Parameters
        ----------
        names
            Names of the mask's values; "label 3" and missing ones count as unnamed: they keep their value.
        colors
            Colours of the mask's values.
        painted
            Values that occur in the mask, beside those with a name.

        Returns
        -------
        dict of int to int
            Where the mask's values differ from the session's: the session's value of each.
        """
        colors = colors or {}
        given = {value: name for value, name in names.items() if value > 0 and not _DEFAULT_NAME.match(name)}
        moved: dict[int, int] = {}
        for value, name in sorted(given.items()):
            moved[value] = self.add(name, colors.get(value), value=value)
        for value in sorted({*names, *painted} - {*given, 0}):
            moved[value] = value
            if value in moved.values() and list(moved.values()).count(value) > 1:
                moved[value] = self.add(value=None)  # another class of this mask has come to that value
            elif value not in self._classes:
                self._classes[value] = ClassInfo(default_name(value), colors.get(value))
        return {value: new for value, new in moved.items() if value != new}


def _nearest(color: Color, others: Iterable[Color]) -> float:
    """Distance to the most similar of some colours."""
    return min(sum((a - b) ** 2 for a, b in zip(color, other, strict=True)) ** 0.5 for other in others)


def _completed(info: ClassInfo) -> ClassInfo:
    preset = preset_of(info.name)
    if preset is None:
        return info
    return replace(info, color=info.color or preset.color, code=info.code or preset.code)


def _key(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").split())
