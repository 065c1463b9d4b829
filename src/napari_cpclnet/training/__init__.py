"""Training of the network, from phantoms and from scans, labelled or not."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
