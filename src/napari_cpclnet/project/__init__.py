"""Projects: a day's work in a folder, with scans, painted slices, classes, and what is to be labelled and how."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
