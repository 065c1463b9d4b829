"""Menu commands that show CT layers in one of the windows of the preferences page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_cpclnet.gui.layers.scan_layers import note
from napari_cpclnet.gui.settings.display_presets import ct_limits, presets

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer


def show_in_window(viewer: Viewer, name: str) -> int:
    """Show the selected CT layers (all, if none is selected) in one of the windows; how many were changed."""
    from napari.layers import Image
    from napari.utils.notifications import show_info

    selected = [layer for layer in viewer.layers.selection if _is_ct(layer)]
    layers: list[Image] = selected or [layer for layer in viewer.layers if _is_ct(layer)]
    for layer in layers:
        assert isinstance(layer, Image)
        layer.contrast_limits = ct_limits(presets().ct_windows[name], _unit(layer))
    if not layers:
        show_info("No CT layer is open whose values are Hounsfield units.")
    return len(layers)


def soft_tissue(viewer: Viewer) -> None:
    """Show CT in the soft tissue window."""
    show_in_window(viewer, "soft tissue")


def liver(viewer: Viewer) -> None:
    """Show CT in the liver window."""
    show_in_window(viewer, "liver")


def lung(viewer: Viewer) -> None:
    """Show CT in the lung window."""
    show_in_window(viewer, "lung")


def bone(viewer: Viewer) -> None:
    """Show CT in the bone window."""
    show_in_window(viewer, "bone")


def brain(viewer: Viewer) -> None:
    """Show CT in the brain window."""
    show_in_window(viewer, "brain")


def _unit(layer: Any) -> str:
    return str(note(layer).get("unit", ""))


def _is_ct(layer: Any) -> bool:
    return getattr(layer, "contrast_limits", None) is not None and _unit(layer) in ("HU", "HU8")
