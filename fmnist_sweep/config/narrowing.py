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
    """Return an entry with what it leaves to the model's own space, once that is known.

    Few models ask for their number of epochs: where one doesn't, the keys say what kind of entry it is.

    Example:
        >>> narrowed("epochs", {"low": 5, "high": 20}, SearchSpace({}))
        {'type': 'int', 'low': 5, 'high': 20}
    """
    if space is None or not narrows(entry):
        return entry
    if name not in space:
        return typed_epochs(entry) if name == "epochs" else entry
    return {**space[name].model_dump(), **entry}


def typed_epochs(entry: Any) -> Any:
    """Return an entry of ``epochs`` with the type that its keys say, where they leave no doubt.

    Example:
        >>> typed_epochs({"choices": [5, 10]}), typed_epochs({"low": 5}), typed_epochs(7)
        ({'type': 'choice', 'choices': [5, 10]}, {'low': 5}, 7)
    """
    if not narrows(entry):
        return entry
    for kind, needed in (("int", {"low", "high"}), ("choice", {"choices"}), ("fixed", {"value"})):
        if needed <= set(entry) <= set(_KINDS[kind].model_fields):
            return {"type": kind, **entry}
    return entry


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
