"""Evaluation of the network on scans whose labels are known and which it was not trained on."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
