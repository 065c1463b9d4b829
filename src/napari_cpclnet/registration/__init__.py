"""Registration of two scans: where each place of a query lies in a support, whatever their modality and plane."""

from napari_cpclnet.registration.field import Field
from napari_cpclnet.registration.registrar import Registrar, register, registering
from napari_cpclnet.registration.run import RegistrationProgress
from napari_cpclnet.registration.settings import RegistrationSettings

__all__ = ["Field", "Registrar", "RegistrationProgress", "RegistrationSettings", "register", "registering"]
