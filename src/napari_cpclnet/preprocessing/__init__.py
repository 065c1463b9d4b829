"""Intensity per modality, the way between a scan's grid and the network's grid, and pseudo-labels."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
