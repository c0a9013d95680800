"""The model's default configuration as a point of the space, and what is said where it is none."""

from __future__ import annotations

import math

from fmnist_sweep.core.jobs import Scalar
from fmnist_sweep.core.space import FloatParameter, IntParameter, Parameter, SearchSpace
from fmnist_sweep.core.wording import shown
from fmnist_sweep.models.catalog import ModelSpace


def default_point(space: SearchSpace, own: ModelSpace) -> dict[str, Scalar]:
    """Return the default configuration; a parameter may have a value that the space does not hold.

    KerasTuner takes any default. One that its own declaration can't reach, such as 100 in steps of 32, is
    moved to the nearest value that it can.

    Args:
        space: The sampled space; the model has a default of everything that is searched in it.
        own: The model's space and defaults.
    """

    def default(name: str, parameter: Parameter) -> Scalar:
        given, declared = own.defaults[name], own.space[name]
        if parameter.contains(given) or declared.contains(given):
            return given
        return _nearest(declared, given)

    return space.fill(default)


def default_notes(space: SearchSpace, own: ModelSpace) -> list[str]:
    """Return what to say of the default configuration before a sweep that would begin with it.

    Args:
        space: As in `default_point`, but the model may lack defaults.
        own: As above.
    """
    without = [name for name in space.searched if name not in own.defaults]
    if without:
        return [no_default(f"the model names no default of {', '.join(without)}")]
    point = default_point(space, own)
    outside = [name for name, value in point.items() if not space[name].contains(value)]
    if outside:
        told = ", ".join(f"{name} {shown(point[name])}" for name in outside)
        return [no_default(f"{told} is not in the space")]
    moved = [name for name in space.searched if name in point and point[name] != own.defaults[name]]
    return [
        f"the default {name} {shown(own.defaults[name])} is no point of the space; {shown(point[name])} "
        "stands for it"
        for name in moved
    ]


def no_default(why: str) -> str:
    """Return the note on a default configuration that is not tried."""
    return f"the model's default configuration is not tried, nor compared with: {why}"


def _nearest(parameter: Parameter, value: Scalar) -> Scalar:
    if not isinstance(parameter, IntParameter | FloatParameter) or isinstance(value, str):
        return parameter.ends()[0]
    low, high = parameter.ends()
    inside = min(max(value, low), high)
    if parameter.step is None:
        return float(inside)
    # Of two that are as near the lower one. Counted, since a range may hold billions.
    n = math.ceil((float(inside) - float(low)) / parameter.step - 0.5)
    if isinstance(parameter, IntParameter):
        return parameter.low + n * parameter.step
    return round(parameter.low + n * parameter.step, 12)
