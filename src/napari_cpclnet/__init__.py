"""Paint a few slices of one scan, and get 3-D labels in every other scan, whatever its modality.

>>> import napari_cpclnet as cpclnet
>>> ct = cpclnet.read_volume("ct.nii.gz")
>>> painted = cpclnet.read_segmentation("ct_painted.nii.gz", like=ct)
>>> support = cpclnet.SupportSet({1: "liver"})
>>> support.add(ct, painted.labels)
>>> segmenter = cpclnet.Segmenter(cpclnet.load_weights(), cpclnet.SegmentationSettings(align=False))
>>> segmenter.set_support(support)
>>> for slice_result in segmenter.predict(cpclnet.read_volume("mr.nii.gz")): pass
>>> written = cpclnet.write_segmentation(segmenter.result(), "labels.nii.gz")

The names below are imported when they are first used: napari imports this module to find the manifest, and must
not wait for torch.
"""

import lazy_loader

from napari_cpclnet.threads import sleep_while_waiting

sleep_while_waiting()  # has to come before torch is loaded, and everything of ours comes after this

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
