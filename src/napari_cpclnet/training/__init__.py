"""Training of the network from phantoms."""

from napari_cpclnet.training.settings import LossWeights, TrainingSettings
from napari_cpclnet.training.trainer import StepReport, Trainer

__all__ = ["LossWeights", "StepReport", "Trainer", "TrainingSettings"]
