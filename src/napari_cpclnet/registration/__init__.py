"""Registration of two scans: where each place of a query lies in a support, whatever their modality and plane."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
