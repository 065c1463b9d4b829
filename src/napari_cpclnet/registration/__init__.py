"""Registration of two scans: where each place of a query lies in a support, whatever their modality and plane."""

from napari_cpclnet.registration.field import Field
from napari_cpclnet.registration.run import RegistrationProgress, register, registering
from napari_cpclnet.registration.settings import RegistrationSettings

__all__ = ["Field", "RegistrationProgress", "RegistrationSettings", "register", "registering"]
