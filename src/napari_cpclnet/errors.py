"""Errors that a user can cause.

Each carries one sentence that says what is wrong with which file and what to do. The command line prints it and
exits with 2, the panel shows it; anything else that is raised is a bug.
"""

from __future__ import annotations


class CpclnetError(Exception):
    """Base of all errors that a user can cause and mend.

    Examples
    --------
    >>> from napari_cpclnet import CpclnetError, read_volume
    >>> try:
    ...     read_volume("no_such_file.nii.gz")
    ... except CpclnetError as error:
    ...     print(error)
    no_such_file.nii.gz: does not exist.
    """


class ImageError(CpclnetError):
    """A file or folder is missing, is no image, or holds something that cannot be used as a scan."""


class GeometryError(CpclnetError):
    """Two images that must share a voxel grid do not."""


class SupportError(CpclnetError):
    """The painted slices cannot be used: empty, wrong slice, wrong label."""


class SettingsError(CpclnetError):
    """A setting or an option has a value that makes no sense."""


class DeviceError(CpclnetError):
    """The computing device that was asked for does not exist or cannot do what was asked."""


class WeightsError(CpclnetError):
    """A weights file is missing, damaged, or belongs to another network."""


class ProjectError(CpclnetError):
    """A project folder is missing, damaged, made by a newer version, or has lost a scan."""


class OutputError(CpclnetError):
    """A result cannot be written."""


class ClusterError(CpclnetError):
    """The machines that were to do the work cannot be reached, or cannot do it."""
