"""The only room that knows napari and Qt: reader, writer, sample data, session and the CPCLNet panel.

Nothing here imports torch, SimpleITK or scikit-image at module level, so that napari starts at once.
"""
