"""Default reader: makes this plugin napari's reader of files that no other plugin reads. No Qt."""

from __future__ import annotations

from napari_cpclnet.gui.settings.preferences import PLUGIN

SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", ".ima")
"""Of files that napari's own reader offers to read and cannot."""

_NAPARI = "napari"


def read_by_default() -> tuple[str, ...]:
    """Make this plugin napari's reader of the files that no other plugin reads; returns what was set.

    What the user chose before stays, for single suffixes too. napari lists the choices on its page of plugins, where
    they can be removed.
    """
    try:
        from napari.settings import get_settings
        from npe2 import PluginManager
    except ImportError:
        return ()
    plugins = get_settings().plugins
    known = dict(plugins.extension2reader)
    found = {}
    for suffix in SUFFIXES:
        pattern = f"*{suffix}"
        readers = PluginManager.instance().iter_compatible_readers([f"scan{suffix}"])
        others = {reader.plugin_name for reader in readers} - {_NAPARI}
        if pattern not in known and others == {PLUGIN}:
            found[pattern] = PLUGIN
    if found:
        plugins.extension2reader = {**known, **found}
    return tuple(found)
