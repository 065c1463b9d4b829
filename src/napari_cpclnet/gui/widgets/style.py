"""Looks that napari's own style sheet does not bring, in the colours of its current theme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from napari.utils.theme import get_theme
from qtpy.QtWidgets import QLayout

Layout = TypeVar("Layout", bound=QLayout)

MARGIN = 8
SPACING = 6


def spaced(layout: Layout, *margins: int, spacing: int = SPACING) -> Layout:
    """A layout with spacing and margins: one for all sides, or left, top, right and bottom; none as a rule."""
    layout.setContentsMargins(*(margins * 4 if len(margins) == 1 else margins or (0, 0, 0, 0)))
    layout.setSpacing(spacing)
    return layout


@dataclass(frozen=True)
class PlotColours:
    """Colours of a plot, as Qt reads them; ``first`` and ``second`` are the lines."""

    background: str
    text: str
    grid: str
    first: str
    second: str


def plot_colours(theme_name: str) -> PlotColours:
    """Colours of plots for a napari theme."""
    theme = get_theme(theme_name)
    if theme.type == "dark":
        return PlotColours(theme.foreground.as_hex(), "#a0a4ac", "#5a6068", "#6cb4ff", "#ffb454")
    return PlotColours(theme.foreground.as_hex(), "#4f4c4c", "#b4b0b0", "#0b62c4", "#a84d00")


def style_sheet(theme_name: str) -> str:
    """Style sheet of the panel for a napari theme."""
    theme = get_theme(theme_name)
    dark = theme.type == "dark"
    text, accent = theme.text.as_rgb(), theme.current.as_rgb()
    muted = "rgb(160, 164, 172)" if dark else "rgb(95, 92, 92)"
    error_back = "rgb(74, 38, 42)" if dark else "rgb(250, 222, 221)"
    error_line = "rgb(220, 90, 95)" if dark else "rgb(190, 40, 45)"
    hover = "rgba(255, 255, 255, 12)" if dark else "rgba(0, 0, 0, 12)"
    row, button = theme.foreground.as_rgb(), theme.primary.as_rgb()
    return f"""
    QLabel#heading {{ font-weight: 600; color: {text}; padding-top: 2px; }}
    QPushButton#fold {{ font-weight: 600; color: {text}; background: transparent; border: 0px; padding: 3px 0px;
        text-align: left; }}
    QPushButton#fold:hover {{ background: {hover}; }}
    QLabel#muted {{ color: {muted}; }}
    QLabel#status {{ color: {muted}; padding: 0px 2px; }}
    QLabel#message {{ border-radius: 3px; padding: 6px 8px; background: {row}; }}
    QLabel#message[kind="error"] {{ background: {error_back}; border-left: 3px solid {error_line}; }}
    QLabel#field {{ border-radius: 3px; padding: 1px 5px; background: {row}; }}
    QFrame#hint {{ border-radius: 3px; background: {row}; border-left: 3px solid {accent}; }}
    QFrame#hint QLabel {{ background: transparent; }}
    QTextBrowser {{ border: 0px; background: {theme.background.as_rgb()}; color: {text}; }}
    QPushButton {{ padding: 5px 3px; }}
    QPushButton#small {{ padding: 1px 5px; }}
    QPushButton::menu-indicator {{ image: none; width: 0px; }}
    QPushButton#run {{ background: {accent}; font-weight: 600; padding: 7px; }}
    QPushButton#run:hover {{ background: {theme.highlight.as_rgb()}; }}
    QPushButton#run:disabled {{ background: {button}; color: {muted}; border: 0px; }}
    QTableWidget, QListWidget, QTreeWidget {{ background: {row}; border-radius: 3px; padding: 2px; }}
    QTableWidget::item, QListWidget::item {{ padding: 2px 4px; }}
    QTreeWidget::item {{ padding: 0px 2px; border: 0px; }}
    QTreeWidget::item:hover {{ background: {hover}; }}
    QListWidget::item:selected, QTableWidget::item:selected, QTreeWidget::item:selected {{
        background: {button}; color: {text}; }}
    QTableWidget QLineEdit {{ min-height: 0px; padding: 0px 2px; background: {theme.background.as_rgb()}; }}
    QListWidget::indicator, QTreeWidget::indicator {{
        width: 14px; height: 14px; border-radius: 2px; background: {button}; }}
    QListWidget::indicator:checked, QTreeWidget::indicator:checked {{
        background: {accent}; image: url("theme_{theme.id}:/check.svg"); }}
    QTreeWidget::indicator:indeterminate {{ background: {accent}; image: url("theme_{theme.id}:/minus.svg"); }}
    QTreeWidget::branch {{ background: transparent; padding: 1px; }}
    QTreeWidget::branch:selected {{ background: {button}; }}
    QTreeWidget::branch:has-children:closed {{ image: url("theme_{theme.id}:/right_arrow.svg"); }}
    QTreeWidget::branch:has-children:open {{ image: url("theme_{theme.id}:/down_arrow.svg"); }}
    QProgressBar {{ border: 0px; border-radius: 3px; background: {row}; min-height: 18px; }}
    QProgressBar::chunk {{ background: {accent}; border-radius: 3px; }}
    QScrollArea {{ border: 0px; }}
    """
