"""What KerasTuner's tuners have and a search here has no use for: said, never ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fmnist_sweep.core.errors import ConfigError, NotHereError

_COMPILE: Final = "compile the model with it in build"
_SPACE: Final = "ask in build for what is to be searched, with hp.Fixed for what is not"
_HYPERBAND: Final = 'give pruner="hyperband" and search(..., epochs=...)'
_BAYESIAN: Final = 'leave it out: sampler="tpe" or "gp" has no such setting'

_WHAT_TO_DO: Final[dict[str, tuple[Any, str]]] = {
    "optimizer": (None, _COMPILE),
    "loss": (None, _COMPILE),
    "metrics": (None, _COMPILE),
    "distribution_strategy": (None, "leave it out: trials train side by side, workers=... of them"),
    "logger": (None, "give observers to search, or run the command with --observe"),
    "tuner_id": (None, "leave it out: several processes may search one study"),
    "executions_per_trial": (
        1,
        "leave it out: tuner.confirm(repeats=...) trains the best several times, on fresh seeds and splits",
    ),
    "hyperparameters": (None, _SPACE),
    "tune_new_entries": (True, _SPACE),
    "allow_new_entries": (True, _SPACE),
    "max_retries_per_trial": (
        0,
        "leave it out: a trial whose process dies goes on from its last whole epoch",
    ),
    "max_consecutive_failed_trials": (3, "leave it out: five failures in a row end the search"),
    "num_initial_points": (None, _BAYESIAN),
    "alpha": (0.0001, _BAYESIAN),
    "beta": (2.6, _BAYESIAN),
    "max_epochs": (100, _HYPERBAND),
    "factor": (3, _HYPERBAND),
    "hyperband_iterations": (1, "give max_trials: a search goes on until it has so many"),
}
"""Of each argument, KerasTuner's default, which asks for nothing, and what to do in its place."""


def require_usable(given: Mapping[str, Any]) -> None:
    """Raise unless these arguments of KerasTuner's tuners ask for nothing.

    Args:
        given: Arguments by name that `Tuner` does not have.

    Raises:
        ConfigError: What to do in place of each of KerasTuner's that is given another value than its default.
        TypeError: No tuner of KerasTuner has an argument of that name, as Python itself says it.

    Example:
        >>> require_usable({"executions_per_trial": 1})
        >>> require_usable({"loss": "mse"})
        Traceback (most recent call last):
        ...
        fmnist_sweep.core.errors.ConfigError: Tuner: 1 problem
          loss='mse' of KerasTuner's tuners is not known here: compile the model with it in build
    """
    for name in given:
        if name not in _WHAT_TO_DO:
            raise TypeError(f"Tuner.__init__() got an unexpected keyword argument {name!r}")
    problems = []
    for name, value in given.items():
        default, advice = _WHAT_TO_DO[name]
        # A value may be an array or a model, whose == is no truth: what equals a default is of its type.
        if type(value) is not type(default) or value != default:
            problems.append(f"{name}={value!r} of KerasTuner's tuners is not known here: {advice}")
    if problems:
        raise ConfigError("Tuner", problems)


_OF_TRIALS: Final = (
    "trials_dataframe() has one row a trial, best(n) the best of them, and get_best_hyperparameters(n) their "
    "KerasTuner HyperParameters"
)
_OF_MODELS: Final = (
    "get_best_models(n) hands trained models out, those of the search with Tuner(keep_models=n)"
)
_OF_FILES: Final = "trials are in the study, which `storage` and `study_name` tell"
_IN_FIT: Final = "put it into the fit(hp, model, ...) of a HyperModel, which every trial calls"
_IN_A_CALLBACK: Final = "give search a Keras callback, or observers=[...] for what becomes of trials"

_INSTEAD: Final[dict[str, str]] = {
    "oracle": f"{_OF_TRIALS}; search_space_summary() prints the space",
    "executions_per_trial": "confirm(repeats=...) trains the best several times",
    "remaining_trials": _OF_TRIALS,
    "project_dir": _OF_FILES,
    "get_trial_dir": _OF_FILES,
    "get_state": _OF_FILES,
    "set_state": _OF_FILES,
    "save": _OF_FILES,
    "reload": "search goes on where it stopped, and reading needs no search: fs.load_study(name, storage)",
    "load_model": _OF_MODELS,
    "save_model": _OF_MODELS,
    "run_trial": _IN_FIT,
    "on_search_begin": _IN_A_CALLBACK,
    "on_search_end": _IN_A_CALLBACK,
    "on_trial_begin": _IN_A_CALLBACK,
    "on_trial_end": _IN_A_CALLBACK,
    "on_epoch_begin": _IN_A_CALLBACK,
    "on_epoch_end": _IN_A_CALLBACK,
    "on_batch_begin": _IN_A_CALLBACK,
    "on_batch_end": _IN_A_CALLBACK,
}
"""Of each public name of a tuner of KerasTuner's that there is none of here, what there is in its place."""


class NamesOfKerasTuner:
    """Tells of names that KerasTuner's tuners have, where they are asked for or overridden."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in vars(cls):
            if name in _INSTEAD:
                raise NotHereError(f"{cls.__name__}.{name} would never be called: {_INSTEAD[name]}")

    def __getattr__(self, name: str) -> Any:
        """Raise: this is asked for what is not there.

        Raises:
            NotHereError: KerasTuner's tuners have it; the message says what to do.
            AttributeError: Nobody has it.
        """
        if name in _INSTEAD:
            raise NotHereError(
                f"{type(self).__name__} has no {name!r} of KerasTuner's tuners: {_INSTEAD[name]}"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
