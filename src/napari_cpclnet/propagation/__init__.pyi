from .filling import fill as fill
from .filling import start_fill as start_fill
from .propagate import ClassScores as ClassScores
from .propagate import Propagation as Propagation
from .propagate import PropagationReport as PropagationReport
from .propagate import propagating as propagating
from .settings import PropagationSettings as PropagationSettings
