"""Hyperparameter sweeps for Keras models that overfit."""

import sys

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    # Run by `python -m`, which looks into the current folder first: a random.py there is not the library's.
    sys.path.append(sys.path.pop(0))

__version__ = "0.1.0"

# What is promised: docs/api.md documents it, and a test holds the signatures to the changelog.
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

_PLACES = {
    "GapPruning": "fmnist_sweep.api.objectives",
    "Metric": "fmnist_sweep.api.tuner",
    "Objective": "fmnist_sweep.api.tuner",
    "StudyReader": "fmnist_sweep.api.reading",
    "SweepError": "fmnist_sweep.core.errors",
    "Tuner": "fmnist_sweep.api.tuner",
    "gap_score": "fmnist_sweep.api.gap_scores",
    "load_study": "fmnist_sweep.api.reading",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for: `import fmnist_sweep` loads nothing."""
    import importlib  # noqa: PLC0415
    import warnings  # noqa: PLC0415

    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with warnings.catch_warnings():
        # Optuna loads tqdm, which misses widgets in a notebook that nothing here would show.
        warnings.filterwarnings("ignore", message="IProgress not found")
        return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
