"""Registrations that are remembered: one for each pair of scans, and what the network sees of a scan."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Iterator
from typing import TYPE_CHECKING

from napari_cpclnet.imaging.volume import fingerprint
from napari_cpclnet.last_used import LastUsed
from napari_cpclnet.registration.anatomy import seeing
from napari_cpclnet.registration.readout import Readout
from napari_cpclnet.registration.run import Registration, RegistrationProgress
from napari_cpclnet.registration.settings import RegistrationSettings

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume
    from napari_cpclnet.model import CPCLNet
    from napari_cpclnet.registration.anatomy import Anatomy
    from napari_cpclnet.registration.field import Field

_FIELDS = 16
_SCANS = 2
"""The support and the query: what is seen of a scan takes some 50 MB."""


class Registrar:
    """Registers scans with one network and one set of settings, each pair once.

    Parameters
    ----------
    network : CPCLNet, optional
        Tells structures of the trunk apart, on the device that it is on. It is used where both scans show a trunk in
        axial slices and the package holds a read-out for its encoder; else, and without it, MIND alone decides.
    settings : RegistrationSettings, optional
    """

    def __init__(self, network: CPCLNet | None = None, settings: RegistrationSettings | None = None) -> None:
        self.settings = settings or RegistrationSettings()
        self._network = network
        self._readout: Readout | None = None
        if network is not None and self.settings.anatomy > 0:
            readout = Readout.load()
            self._readout = readout if readout.fits(network) else None
        self._fields: LastUsed[Hashable, Field] = LastUsed(_FIELDS)
        self._seen: LastUsed[Hashable, Anatomy | None] = LastUsed(_SCANS)

    def register(self, support: Volume, query: Volume) -> Field:
        """Find the place in the support of every place of the query.

        Raises
        ------
        DeviceError
            If the device of the settings does not exist.
        """
        *_, last = self.registering(support, query)
        assert last.field is not None
        return last.field

    def registering(self, support: Volume, query: Volume) -> Iterator[RegistrationProgress]:
        """The same step by step: closing the iterator cancels, the last report holds the field."""
        key = fingerprint(support), fingerprint(query)
        if key not in self._fields:
            for report in Registration(support, query, self.settings, self._see).run():
                if report.field is None:
                    yield report
                else:
                    self._fields[key] = report.field
        yield RegistrationProgress("Done", 1.0, self._fields[key])

    def _see(self, volume: Volume) -> Generator[None, None, Anatomy | None]:
        """What the network makes of a scan, if it has anything to say about it."""
        if self._network is None or self._readout is None:
            return None
        key = fingerprint(volume)
        if key not in self._seen:
            self._seen[key] = yield from seeing(volume, self._network, self._readout)
        return self._seen[key]


def register(
    support: Volume,
    query: Volume,
    settings: RegistrationSettings | None = None,
    *,
    network: CPCLNet | None = None,
) -> Field:
    """Find the place in the support of every place of the query.

    Parameters
    ----------
    support, query : Volume
        Any modality, plane, slant and field of view.
    settings : RegistrationSettings, optional
    network : CPCLNet, optional
        As for :class:`Registrar`, which remembers what it did.

    Returns
    -------
    Field
        From the query's world to the support's; its `warp` brings labels of the support to the query's grid.

    Raises
    ------
    DeviceError
        If the device does not exist.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_cpclnet import Geometry, RegistrationSettings, Volume, register
    >>> z, y, x = np.mgrid[-8:8, -16:16, -16:16]
    >>> def ball(at):
    ...     inside = 4 * z**2 + y**2 + (x - at) ** 2 < 100
    ...     return Volume(np.where(inside, 50, -1000).astype(np.int16), Geometry(z.shape, (8.0, 4.0, 4.0)), "CT", "HU")
    >>> quick = RegistrationSettings(device="cpu", iterations=5, samples=500, points=1000)
    >>> field = register(ball(0), ball(2), quick)
    >>> field.query.shape
    (16, 32, 32)
    """
    return Registrar(network, settings).register(support, query)


def registering(
    support: Volume,
    query: Volume,
    settings: RegistrationSettings | None = None,
    *,
    network: CPCLNet | None = None,
) -> Iterator[RegistrationProgress]:
    """The same step by step: closing the iterator cancels, the last report holds the field."""
    return Registrar(network, settings).registering(support, query)
