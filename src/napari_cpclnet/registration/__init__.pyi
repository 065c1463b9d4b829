from .field import Field as Field
from .registrar import Registrar as Registrar
from .registrar import register as register
from .registrar import registering as registering
from .run import RegistrationProgress as RegistrationProgress
from .settings import RegistrationSettings as RegistrationSettings
