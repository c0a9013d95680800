"""Entries of a sweep file's space that narrow what the model declares: those without a type."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from fmnist_sweep.config.messages import describe
from fmnist_sweep.config.schema import MAX_PARAMETERS, SweepFile
from fmnist_sweep.core.space import ChoiceParameter, FixedParameter, FloatParameter, IntParameter, SearchSpace

_KINDS: Final[Mapping[str, type[BaseModel]]] = {
    "float": FloatParameter,
    "int": IntParameter,
    "choice": ChoiceParameter,
    "fixed": FixedParameter,
}


def narrows(entry: Any) -> bool:
    """Return whether an entry takes what it does not say from the model's own declaration."""
    return isinstance(entry, dict) and "type" not in entry


def narrowed(name: str, entry: Any, space: SearchSpace | None) -> Any:
    """Return an entry with what it leaves to the model's own space, once that is known."""
    if space is None or not narrows(entry) or name not in space:
        return entry
    return {**space[name].model_dump(), **entry}


def narrowing_problems(space: Any) -> list[str]:
    """Return what is wrong with entries without a type, whatever the model declares; a line each.

    Finding a model's space takes seconds: a misspelt key, or ends that are no numbers or the wrong way round,
    needn't wait for it.

    Args:
        space: The section as it was given.

    Example:
        >>> narrowing_problems({"units": {"low": 8, "hihg": 16}})
        ["space.units.hihg: unknown key; did you mean 'high'? (allowed: high, log, low, step, type, when)"]
        >>> narrowing_problems({"units": {"low": 8}, "rate": {"choices": [0.1, 0.2]}})
        []
    """
    if not isinstance(space, Mapping) or len(space) > MAX_PARAMETERS:
        return []
    return [line for name, entry in space.items() if narrows(entry) for line in _problems(name, entry)]


def _problems(name: str, entry: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with an entry as the kind of parameter that it fits best."""
    found = {kind: _as_kind(name, entry, kind) for kind in _KINDS}

    def misfit(kind: str) -> tuple[int, int]:
        return len(set(entry) - set(_KINDS[kind].model_fields)), len(found[kind])

    # As any kind that it fits it may be right: only the model can tell which one it is.
    return found[min(_KINDS, key=misfit)] if all(found.values()) else []


def _as_kind(name: str, entry: Mapping[str, Any], kind: str) -> list[str]:
    # An end that the model gives may lie anywhere: the one that is given stands for it.
    ends = [entry[end] for end in ("low", "high") if _is_number(entry.get(end))] or [1]
    model: dict[str, Any] = {"low": ends[0], "high": ends[-1], "choices": [1], "value": 1}
    own = {key: value for key, value in model.items() if key in _KINDS[kind].model_fields}
    try:
        SweepFile.model_validate(
            {"study": "s", "model": "m", "space": {name: {**own, **entry, "type": kind}}}
        )
    except ValidationError as error:
        return describe(error, SweepFile)
    return []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
