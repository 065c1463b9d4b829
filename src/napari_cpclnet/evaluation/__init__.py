"""How good the network is, on scans whose truth is known and which it never saw."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
