"""Training of the network, from phantoms and from scans, labelled or not."""

from napari_cpclnet.training.preparation import PreparationReport
from napari_cpclnet.training.run import EpochReport, TrainingReport, train
from napari_cpclnet.training.settings import LossWeights, SourceWeights, TrainingSettings
from napari_cpclnet.training.settings_file import read_settings, write_settings
from napari_cpclnet.training.trainer import StepReport, Trainer

__all__ = [
    "EpochReport",
    "LossWeights",
    "PreparationReport",
    "SourceWeights",
    "StepReport",
    "Trainer",
    "TrainingReport",
    "TrainingSettings",
    "read_settings",
    "train",
    "write_settings",
]
