"""The napari plugin: reader, writer, sample data, session and the panel. No other room knows napari or Qt.

Nothing here imports torch, SimpleITK or scikit-image at module level, so that napari starts at once.
"""

from __future__ import annotations

from napari_cpclnet.threads import leave_free

leave_free(1)  # for the window
