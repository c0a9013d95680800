from fmnist_sweep.api.reading import load_study as load_study
from fmnist_sweep.api.tuner import Objective as Objective
from fmnist_sweep.api.tuner import Tuner as Tuner
from fmnist_sweep.core.errors import SweepError as SweepError

__all__ = ["Objective", "SweepError", "Tuner", "load_study"]
__version__: str
