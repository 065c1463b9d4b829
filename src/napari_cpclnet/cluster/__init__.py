"""Work on many scans by the processes of a dask cluster, on this machine or on others.

What all items share is sent to each worker once; an item and its answer are bytes in formats of our own. An item whose
worker dies is given to another one, and each answer arrives once, whoever worked on it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
