"""Trials that another tool put into a study to be run: what of them the study's space does not hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.trial import FrozenTrial

from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.space import FloatParameter, IntParameter, Parameter, SearchSpace
from fmnist_sweep.search.samplers import distribution_of

_MANY: Final = 20


def require_in_space(trial: FrozenTrial, space: SearchSpace) -> None:
    """Check what a waiting trial was given, by Optuna's ``enqueue_trial`` or by a draw that was cut short.

    What it was not given is drawn, and what the rest of its point has no room for, such as the width of a
    layer that is not there, is left out.

    Args:
        trial: As the storage holds it.
        space: What the study draws from.

    Raises:
        TrialError: A name or a value is not in the space; all of them are listed.
    """
    given: Mapping[str, Any] = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
    known = ", ".join(space.searched)
    problems = [
        f"{name}: is not drawn in this study; what is drawn: {known}" for name in given if name not in space
    ]
    problems += [
        f"{name}: {value!r} is not {in_words(space[name])}"
        for name, value in given.items()
        if name in space and not space[name].contains(value)
    ]
    problems += [
        f"{name}: was written as another kind of parameter"
        for name, distribution in trial.distributions.items()
        if name in space and not _compatible(distribution, space[name])
    ]
    if problems:
        raise TrialError(f"it was enqueued with what is not in the space: {'; '.join(problems)}")


def _compatible(distribution: BaseDistribution, parameter: Parameter) -> bool:
    try:
        check_distribution_compatibility(distribution, distribution_of(parameter))
    except ValueError:
        return False
    return True


def in_words(parameter: Parameter) -> str:
    """Return what a parameter may be, as the end of a sentence.

    Example:
        >>> in_words(FloatParameter(low=0.0, high=0.5))
        'from 0 to 0.5'
        >>> in_words(IntParameter(low=16, high=64, step=16))
        'one of 16, 32, 48, 64'
    """
    values = parameter.values()
    if values is not None and len(values) <= _MANY:
        return f"one of {', '.join(map(str, values))}" if len(values) > 1 else str(values[0])
    low, high = parameter.ends()[0], parameter.ends()[-1]
    if isinstance(parameter, IntParameter | FloatParameter):
        step = parameter.step if parameter.step not in (None, 1) else None
        whole = "a whole number " if isinstance(parameter, IntParameter) else ""
        return f"{whole}from {low:g} to {high:g}{'' if step is None else f' in steps of {step:g}'}"
    return f"one of {', '.join(map(str, (values or ())[:_MANY]))}, ..."
