from fmnist_sweep.api.gap_scores import gap_score as gap_score
from fmnist_sweep.api.objectives import GapPruning as GapPruning
from fmnist_sweep.api.reading import StudyReader as StudyReader
from fmnist_sweep.api.reading import load_study as load_study
from fmnist_sweep.api.tuner import Metric as Metric
from fmnist_sweep.api.tuner import Objective as Objective
from fmnist_sweep.api.tuner import Tuner as Tuner
from fmnist_sweep.core.errors import SweepError as SweepError

__all__ = [
    "GapPruning",
    "Metric",
    "Objective",
    "StudyReader",
    "SweepError",
    "Tuner",
    "gap_score",
    "load_study",
]
__version__: str
_PLACES: dict[str, str]
