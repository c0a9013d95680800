"""The declared search space: parameters, the conditions they live under, and how a point is drawn from it.

The space is declared and drawn whole, in the parent process. Nothing here knows who draws: Optuna's
samplers, a random generator in a test and ``validate`` all fill a space through `SearchSpace.fill`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeAlias

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)
from typing_extensions import override

from fmnist_sweep.core.jobs import Hyperparameters, Scalar
from fmnist_sweep.core.wording import shown, shown_list

MAX_VALUES: Final = 100_000
"""Of a grid of real numbers: they are listed wherever one is looked for."""

MAX_CHOICES: Final = 1000
_LARGEST_WHOLE: Final = 2**53
"""Optuna keeps numbers as floats, which hold no larger one exactly."""

_LARGEST_SCALAR: Final = 2**63 - 1


def _require_scalar(given: Any) -> Any:
    if not isinstance(given, bool | int | float | str):
        raise ValueError(f"must be a number, a text, true or false; got {shown(given)}")  # noqa: TRY004 pydantic's way
    if isinstance(given, float) and not math.isfinite(given):
        raise ValueError(f"must be a finite number, got {given!r}")
    if isinstance(given, int) and abs(given) > _LARGEST_SCALAR:
        raise ValueError(f"must be a whole number of at most 64 bits, got {shown(given)}")
    return given


StrictScalar: TypeAlias = Annotated[
    StrictBool | StrictInt | StrictFloat | StrictStr, BeforeValidator(_require_scalar)
]
FiniteFloat: TypeAlias = Annotated[StrictFloat, Field(allow_inf_nan=False)]
_Whole: TypeAlias = Annotated[StrictInt, Field(ge=-_LARGEST_WHOLE, le=_LARGEST_WHOLE)]


class _Parameter(BaseModel):
    """What all parameters share: the condition under which they exist.

    Attributes:
        when: Parent parameter to the values for which this one exists; all parents must agree.
            Where it does not exist, the model is built without it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: Mapping[str, Annotated[tuple[StrictScalar, ...], Field(max_length=MAX_CHOICES)]] = Field(
        default_factory=dict
    )

    def values(self) -> Sequence[Scalar] | None:
        """Return every value the parameter can take, or None where it is continuous."""
        raise NotImplementedError

    def ends(self) -> Sequence[Scalar]:
        """Return the values that bound the parameter: both ends of a range, every choice."""
        raise NotImplementedError

    def contains(self, value: Scalar) -> bool:
        """Return whether the parameter can take this value. ``True`` is not ``1`` here."""
        values = self.values()
        return values is not None and any(_same(value, v) for v in values)

    def random(self, rng: np.random.Generator) -> Scalar:
        """Return a random value: uniform, or log-uniform where the parameter is ``log``."""
        values = self.values()
        if values is None:
            raise NotImplementedError
        return values[int(rng.integers(len(values)))]


class _Range(_Parameter):
    low: float
    high: float
    log: StrictBool = False

    @model_validator(mode="after")
    def _bounds_make_sense(self) -> _Range:
        problems = []
        if self.low > self.high:
            problems.append(f"low={self.low:g} is above high={self.high:g}; swap them")
        if not math.isfinite(self.high - self.low):
            problems.append(f"low={self.low:g} and high={self.high:g} are too far apart; narrow the range")
        if self.log and self.low <= 0:
            problems.append(f"log needs low > 0, got low={self.low:g}; raise low or drop log")
        step = getattr(self, "step", None)
        if step is not None and step <= 0:
            problems.append(f"step must be above 0, got {step:g}")
        if self.log and step not in (None, 1):
            problems.append("log and step exclude each other; list the values as choices")
        if isinstance(step, float) and step > 0 and not (self.high - self.low) / step < MAX_VALUES:
            problems.append(
                f"step={step:g} makes more than {MAX_VALUES:,} values; take a larger one, or none"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @override
    def ends(self) -> Sequence[Scalar]:
        values = self.values()
        return (self.low, self.high) if values is None else (values[0], values[-1])


class FloatParameter(_Range):
    """A real number in ``[low, high]``: uniform, log-uniform, or on a grid of ``step``."""

    type: Literal["float"] = "float"
    low: FiniteFloat
    high: FiniteFloat
    step: FiniteFloat | None = None

    @override
    def values(self) -> Sequence[Scalar] | None:
        if self.step is None:
            return (self.low,) if self.low == self.high else None
        n = math.floor((self.high - self.low) / self.step + 1e-9)
        return tuple(round(self.low + i * self.step, 12) for i in range(n + 1))

    @override
    def contains(self, value: Scalar) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if self.step is None:
            return self.low <= value <= self.high
        return any(math.isclose(value, float(v), rel_tol=1e-9, abs_tol=1e-12) for v in self.values() or ())

    @override
    def random(self, rng: np.random.Generator) -> Scalar:
        if self.values() is not None:
            return super().random(rng)
        if not self.log:
            return float(rng.uniform(self.low, self.high))
        drawn = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return min(max(drawn, self.low), self.high)


class IntParameter(_Range):
    """A whole number in ``[low, high]``, both included, in steps of ``step``."""

    type: Literal["int"] = "int"
    low: _Whole
    high: _Whole
    step: _Whole = 1

    @override
    def values(self) -> Sequence[Scalar]:
        return range(self.low, self.high + 1, self.step)

    @override
    def contains(self, value: Scalar) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or value % 1 != 0:
            return False
        # Looked for among numbers of the other kind, a range is walked through, and it may hold billions.
        return int(value) in range(self.low, self.high + 1, self.step)

    @override
    def random(self, rng: np.random.Generator) -> Scalar:
        if not self.log:
            return super().random(rng)
        drawn = math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
        return min(max(round(drawn), self.low), self.high)


class ChoiceParameter(_Parameter):
    """One of a list of values, without an order."""

    type: Literal["choice"] = "choice"
    choices: Annotated[tuple[StrictScalar, ...], Field(min_length=1, max_length=MAX_CHOICES)]

    @model_validator(mode="after")
    def _no_choice_twice(self) -> ChoiceParameter:
        repeated = [c for i, c in enumerate(self.choices) if any(_same(c, d) for d in self.choices[:i])]
        if repeated:
            named = shown_list(list(dict.fromkeys(repeated)))
            raise ValueError(f"choices hold {named} twice; name each value once")
        return self

    @override
    def values(self) -> Sequence[Scalar]:
        return self.choices

    @override
    def ends(self) -> Sequence[Scalar]:
        return self.choices


class FixedParameter(_Parameter):
    """A setting held constant: part of every configuration, not searched."""

    type: Literal["fixed"] = "fixed"
    value: StrictScalar

    @override
    def values(self) -> Sequence[Scalar]:
        return (self.value,)

    @override
    def ends(self) -> Sequence[Scalar]:
        return (self.value,)


def _bare_value_is_fixed(given: Any) -> Any:
    return {"type": "fixed", "value": given} if isinstance(given, bool | int | float | str) else given


Parameter: TypeAlias = FloatParameter | IntParameter | ChoiceParameter | FixedParameter
ParameterField: TypeAlias = Annotated[
    Annotated[Parameter, Field(discriminator="type")], BeforeValidator(_bare_value_is_fixed)
]


def _same(a: Scalar, b: Scalar) -> bool:
    return a == b and isinstance(a, bool) == isinstance(b, bool)


@dataclass(frozen=True)
class SearchSpace:
    """Parameters by name, parents before children.

    Raises:
        ValueError: A condition names a parameter or a value that doesn't exist, or runs in a circle;
            the message lists every problem, one a line.

    Example:
        >>> space = SearchSpace({
        ...     "depth": IntParameter(low=1, high=2),
        ...     "units_2": ChoiceParameter(choices=(100, 200), when={"depth": (2,)}),
        ... })
        >>> space.size
        3
        >>> space.fill(lambda name, parameter: parameter.ends()[0])
        {'depth': 1}
    """

    parameters: Mapping[str, Parameter]

    def __post_init__(self) -> None:
        problems = condition_problems(self.parameters)
        if problems:
            raise ValueError("\n".join(problems))
        ordered = {name: self.parameters[name] for name in _parents_first(self.parameters)}
        object.__setattr__(self, "parameters", MappingProxyType(ordered))

    def __getitem__(self, name: str) -> Parameter:
        return self.parameters[name]

    def __contains__(self, name: str) -> bool:
        return name in self.parameters

    def __iter__(self) -> Iterator[str]:
        return iter(self.parameters)

    def without(self, *names: str) -> SearchSpace:
        """Return the space less some parameters."""
        return SearchSpace({n: p for n, p in self.parameters.items() if n not in names})

    def active(self, name: str, values: Hyperparameters) -> bool:
        """Return whether a parameter exists, given the values of its parents."""
        return all(
            parent in values and any(_same(values[parent], v) for v in allowed)
            for parent, allowed in self.parameters[name].when.items()
        )

    def fill(self, draw: Callable[[str, Parameter], Scalar]) -> dict[str, Scalar]:
        """Return one complete point, parents first.

        ``draw`` is asked for every parameter that exists and has more than one value.
        """
        values: dict[str, Scalar] = {}
        for name, parameter in self.parameters.items():
            if self.active(name, values):
                options = parameter.values()
                single = options is not None and len(options) == 1
                values[name] = parameter.ends()[0] if single else draw(name, parameter)
        return values

    def complete(self, values: Hyperparameters, defaults: Hyperparameters) -> dict[str, Scalar]:
        """Return the values with a default for each parameter that exists and is left out."""
        known = {**defaults, **values}
        return {**self.fill(lambda name, _: known[name]), **values}

    def sample(self, rng: np.random.Generator) -> dict[str, Scalar]:
        """Return a random point."""
        return self.fill(lambda _, parameter: parameter.random(rng))

    def contains(self, values: Hyperparameters) -> bool:
        """Return whether the values are one complete point of the space."""
        return all(
            (name in values) == self.active(name, values)
            and (name not in values or parameter.contains(values[name]))
            for name, parameter in self.parameters.items()
        ) and all(name in self.parameters for name in values)

    @property
    def searched(self) -> tuple[str, ...]:
        """Names of the parameters that can vary."""
        return tuple(n for n, p in self.parameters.items() if p.values() is None or len(p.values() or ()) > 1)

    @property
    def size(self) -> float:
        """Number of distinct points; ``inf`` where a parameter is continuous."""
        parents = {parent for p in self.parameters.values() for parent in p.when}
        if any(self.parameters[parent].values() is None for parent in parents):
            return math.inf

        def count(values: dict[str, Scalar], names: tuple[str, ...]) -> float:
            total = 1.0
            for i, name in enumerate(names):
                if not self.active(name, values):
                    continue
                options = self.parameters[name].values()
                if options is None:
                    return math.inf
                if name in parents:
                    rest = names[i + 1 :]
                    return total * sum(count({**values, name: option}, rest) for option in options)
                total *= len(options)
            return total

        total = count({}, tuple(self.parameters))
        return total if math.isinf(total) else int(total)

    def corners(self, *, limit: int = 20_000) -> Iterator[dict[str, Scalar]]:
        """Yield the points whose every value bounds its parameter, at most ``limit`` of them."""
        yield from islice(self._walk(lambda parameter: parameter.ends()), limit)

    def points(self) -> Iterator[dict[str, Scalar]]:
        """Yield every point of a space whose `size` is finite."""
        yield from self._walk(lambda parameter: tuple(parameter.values() or ())[::-1])

    def _walk(self, options: Callable[[Parameter], Sequence[Scalar]]) -> Iterator[dict[str, Scalar]]:
        """Yield the points whose every value is among a parameter's options, the last options first."""
        pending: list[tuple[dict[str, Scalar], int]] = [({}, 0)]
        names = tuple(self.parameters)
        while pending:
            values, i = pending.pop()
            while i < len(names) and not self.active(names[i], values):
                i += 1
            if i == len(names):
                yield values
                continue
            found = dict.fromkeys(options(self.parameters[names[i]]))
            pending.extend(({**values, names[i]: option}, i + 1) for option in found)


def condition_problems(parameters: Mapping[str, Parameter]) -> list[str]:
    """Return what is wrong with the conditions between parameters, a line each."""
    problems = []
    for name, parameter in parameters.items():
        for parent, allowed in parameter.when.items():
            if parent not in parameters:
                known = ", ".join(n for n in parameters if n != name)
                problems.append(f"{name}.when: unknown parameter {parent!r}; known are {known}")
                continue
            missing = [v for v in allowed if not parameters[parent].contains(v)]
            if missing or not allowed:
                what = shown_list(missing) or "an empty list"
                problems.append(f"{name}.when: {parent} can never be {what}")
    if not problems:
        ordered = set(_parents_first(parameters))
        circle = [name for name in parameters if name not in ordered]
        if circle:
            problems.append(f"{', '.join(circle)}: their conditions run in a circle; drop one of them")
    return problems


def _parents_first(parameters: Mapping[str, Parameter]) -> list[str]:
    ordered: list[str] = []
    waiting = list(parameters)
    while True:
        ready = [n for n in waiting if all(parent in ordered for parent in parameters[n].when)]
        if not ready:
            return ordered
        # One at a time keeps the declared order wherever the conditions allow it.
        ordered.append(ready[0])
        waiting.remove(ready[0])
