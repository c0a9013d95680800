"""Plain values and declared parameters on our side, `keras_tuner.HyperParameters` on KerasTuner's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras_tuner as kt
from keras_tuner.engine import hyperparameters as declared
from keras_tuner.src.engine.conditions import Parent
from typing_extensions import override

from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.jobs import Hyperparameters, Scalar
from fmnist_sweep.core.space import (
    ChoiceParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    SearchSpace,
)

# --- values to HyperParameters -----------------------------------------------------------------------------


def filled(values: Hyperparameters) -> kt.HyperParameters:
    """Return `HyperParameters` that answer every lookup with these values.

    What a HyperModel asks for and ``values`` leaves out takes the default of its declaration.

    Example:
        >>> filled({"units": 300}).Int("units", 16, 128)
        300
    """
    hp = kt.HyperParameters()
    hp.values = _Watched(values)
    return hp


def unasked(hp: kt.HyperParameters) -> frozenset[str]:
    """Return the names of the values, given to `filled`, that nobody has looked up so far.

    Example:
        >>> hp = filled({"units": 300, "rate": 0.1})
        >>> hp.Int("units", 16, 128)
        300
        >>> unasked(hp)
        frozenset({'rate'})
    """
    watched: _Watched = hp.values
    return watched.given - watched.asked


class _Watched(dict[str, Scalar]):
    """Values that remember which of them were looked up; whoever takes all of them has looked at each."""

    def __init__(self, values: Hyperparameters) -> None:
        super().__init__(values)
        self.given = frozenset(values)
        self.asked: set[str] = set()

    @override
    def __getitem__(self, name: str) -> Scalar:
        self.asked.add(name)
        return super().__getitem__(name)

    @override
    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return super().__contains__(name)

    @override
    def get(self, name: str, otherwise: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, otherwise)

    @override
    def __iter__(self) -> Iterator[str]:
        self.asked |= self.given
        return super().__iter__()

    @override
    def items(self) -> Any:
        self.asked |= self.given
        return super().items()

    @override
    def values(self) -> Any:
        self.asked |= self.given
        return super().values()


# --- our declarations to KerasTuner's ----------------------------------------------------------------------


def ask(hp: kt.HyperParameters, space: SearchSpace, defaults: Hyperparameters) -> dict[str, Scalar]:
    """Declare a whole space to KerasTuner and return the values of the parameters that exist.

    Args:
        hp: What a tuner, or `filled`, hands to ``build``.
        space: The parameters, their ranges and conditions.
        defaults: A default for each parameter.

    Returns:
        The active values by name, and any that were filled in beforehand although the space says they do
        not exist: whoever fixes a value is to get it.
    """
    values: dict[str, Scalar] = {}
    for name, parameter in space.parameters.items():
        with _conditions(hp, parameter.when):
            _declare(hp, name, parameter, defaults[name])
        if name in hp:
            values[name] = hp.get(name)
    return values


@contextmanager
def _conditions(hp: kt.HyperParameters, when: Mapping[str, Sequence[Scalar]]) -> Iterator[None]:
    # A conditional_scope inside another looks for its parent among those declared under the outer one, so two
    # parents side by side can't be said in public KerasTuner. Its declarations take any list of conditions.
    n_outer = len(hp._conditions)  # noqa: SLF001
    for parent, allowed in when.items():
        hp._conditions.append(Parent(hp._get_name(parent), list(allowed)))  # noqa: SLF001
    try:
        yield
    finally:
        del hp._conditions[n_outer:]  # noqa: SLF001


def _declare(hp: kt.HyperParameters, name: str, parameter: Parameter, default: Scalar) -> None:
    match parameter:
        case FloatParameter(low=low, high=high, step=step, log=log):
            hp.Float(name, low, high, step=step, sampling="log" if log else "linear", default=default)
        case IntParameter(low=low, high=high, step=step, log=log):
            # KerasTuner's step of a log range is a factor; ours has none.
            how = {"sampling": "log"} if log else {"step": step}
            hp.Int(name, low, high, default=default, **how)
        case ChoiceParameter(choices=choices) if set(map(type, choices)) == {bool} and len(choices) == 2:
            # A Choice of booleans comes back from KerasTuner as 0 and 1.
            hp.Boolean(name, default=default)
        case ChoiceParameter(choices=choices):
            hp.Choice(name, list(choices), default=default)
        case FixedParameter(value=value):
            hp.Fixed(name, value)


# --- KerasTuner's declarations to ours ---------------------------------------------------------------------


def to_parameter(asked: declared.HyperParameter) -> Parameter:
    """Return our form of a KerasTuner declaration, its explicit conditions included.

    A linear range that its step does not divide ends at its last step. A log range with a step, which is a
    factor in KerasTuner, becomes the list of its values.

    Raises:
        ConfigError: There is no counterpart, as for ``sampling="reverse_log"``.

    Example:
        >>> to_parameter(declared.Int("units", 32, 100, step=32)).high
        96
    """
    when = _when(asked)
    match asked:
        case declared.Fixed():
            return FixedParameter(value=asked.value, when=when)
        case declared.Boolean():
            return ChoiceParameter(choices=(False, True), when=when)
        case declared.Choice():
            return ChoiceParameter(choices=tuple(dict.fromkeys(asked.values)), when=when)
        case declared.Int() | declared.Float():
            return _range(asked, when)
    raise ConfigError(asked.name, [f"{type(asked).__name__} is no KerasTuner declaration that is known here"])


def _range(asked: declared.HyperParameter, when: Mapping[str, tuple[Scalar, ...]]) -> Parameter:
    low, high, step = asked.min_value, asked.max_value, asked.step
    whole = isinstance(asked, declared.Int)
    if asked.sampling == "reverse_log":
        raise ConfigError(
            asked.name, ['sampling="reverse_log" can\'t be searched here; use "log" or "linear"']
        )
    if asked.sampling == "log" and step is not None:
        grid = [low * step**i for i in range(math.floor(math.log(high / low, step) + 1e-8) + 1)]
        # Rounded, since 1e-5 * 10 ** 2 is not quite 1e-3.
        return ChoiceParameter(
            choices=tuple(grid if whole else (float(f"{v:.12g}") for v in grid)), when=when
        )
    log = asked.sampling == "log"
    if whole:
        step = 1 if step is None else step
        return IntParameter(low=low, high=low + (high - low) // step * step, step=step, log=log, when=when)
    if step is not None:
        high = round(low + math.floor((high - low) / step + 1e-9) * step, 12)
        step = float(step)
    return FloatParameter(low=low, high=high, step=step, log=log, when=when)


def _when(asked: declared.HyperParameter) -> dict[str, tuple[Scalar, ...]]:
    when: dict[str, tuple[Scalar, ...]] = {}
    for condition in asked.conditions:
        allowed = when.get(condition.name, tuple(condition.values))
        when[condition.name] = tuple(value for value in allowed if value in condition.values)
    return when
