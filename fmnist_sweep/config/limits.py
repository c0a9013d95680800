"""Which entries a sweep file's space may have: the model's names, and values it can be built with."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from fmnist_sweep.config.schema import MAX_PARAMETERS
from fmnist_sweep.config.section import LARGEST_COUNT
from fmnist_sweep.core.errors import did_you_mean
from fmnist_sweep.core.jobs import Scalar
from fmnist_sweep.core.space import Parameter
from fmnist_sweep.core.wording import shown
from fmnist_sweep.models.catalog import ModelSpace
from fmnist_sweep.models.spaces import ACTIVATIONS, MAX_BLOCKS, MAX_DEPTH, OPTIMIZERS, SCHEDULES

_Rule: TypeAlias = tuple[str, Callable[[Scalar], bool]]

MORE_ACTIVATIONS: Final = (
    "celu", "exponential", "glu", "hard_shrink", "hard_silu", "hard_swish", "hard_tanh", "linear",
    "log_sigmoid", "log_softmax", "mish", "relu6", "silu", "soft_shrink", "softmax", "softplus", "softsign",
    "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh_shrink", "threshold",
)  # fmt: skip
"""What else Keras knows by name; not searched unless a sweep file names it."""

MORE_OPTIMIZERS: Final = (
    "adadelta",
    "adafactor",
    "adagrad",
    "adamax",
    "ftrl",
    "lion",
    "muon",
    "schedulefreeadamw",
)
"""As above."""

_TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "activation": (*ACTIVATIONS, *MORE_ACTIVATIONS),
    "optimizer": (*OPTIMIZERS, *MORE_OPTIMIZERS),
    "schedule": SCHEDULES,
    "pooling": ("average", "max"),
    "padding": ("same", "valid"),
}


def _whole(low: int, high: int | None = None) -> _Rule:
    words = f"a whole number from {low} up" if high is None else f"a whole number from {low} to {high}"

    def allows(value: Scalar) -> bool:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and low <= int(value) and (high is None or int(value) <= high)

    return words, allows


def _number(words: str, allows: Callable[[float], bool]) -> _Rule:
    return (
        f"a number {words}",
        lambda v: isinstance(v, int | float) and not isinstance(v, bool) and allows(float(v)),
    )


_TRUTH: Final[_Rule] = ("true or false", lambda v: isinstance(v, bool))
_FROM_0: Final = _number("from 0 up", lambda v: v >= 0)
_SHARE: Final = _number("from 0 to 1", lambda v: 0 <= v <= 1)

_RULES: Final[Mapping[str, _Rule]] = {
    "learning_rate": _number("above 0", lambda v: v > 0),
    "l2": _FROM_0,
    "weight_decay": _FROM_0,
    "dropout": _SHARE,
    "conv_dropout": _SHARE,
    "label_smoothing": _SHARE,
    "batch_norm": _TRUTH,
    "flip": _TRUTH,
    "alternate_flips": _TRUTH,
    "erase": _SHARE,
    "ema": _number("from 0 up and below 1", lambda v: 0 <= v < 1),
    "global_pooling": _TRUTH,
    "shift": _whole(0),
    "depth": _whole(1, MAX_DEPTH),
    "conv_blocks": _whole(1, MAX_BLOCKS),
    "batch_size": _whole(1, LARGEST_COUNT),
    **dict.fromkeys(
        ("units", "filters", "kernel_size", "pool_size", "dense_units", "convs_per_block"),
        _whole(1),
    ),
    "schedule_epochs": _whole(1),
}


def entry_problems(space: Any, own: ModelSpace) -> list[str]:
    """Return which entries of a sweep file's space the model does not have, a line each.

    Args:
        space: The section as it was given.
        own: The model's own space.
    """
    known = {*own.space, "epochs", "batch_size"}
    problems = []
    # Of more entries than a space may have the schema tells, without a line for each.
    for name in space if isinstance(space, Mapping) and len(space) <= MAX_PARAMETERS else ():
        near = did_you_mean(name, known)
        # A discovery may miss what a user's model asks for in rare branches or in its fit: only a name that
        # looks misspelt is refused there.
        if name not in known and (own.n_parameters is not None or near):
            has = ", ".join(sorted(known))
            problems.append(f"space.{name}: the model has no such hyperparameter{near} (it has {has})")
    return problems


def value_problems(name: str, parameter: Parameter) -> list[str]:
    """Return which values of a built-in model's parameter can't be used, a line each.

    Args:
        name: The parameter; those that are numbered, as ``units_2``, share their limits.
        parameter: What a sweep file makes of it. ``epochs`` is no parameter of the model.

    Example:
        >>> from fmnist_sweep.core.space import FixedParameter
        >>> value_problems("pooling", FixedParameter(value="maximum"))
        ["pooling: unknown 'maximum'; did you mean 'max'? (allowed: average, max)"]
    """
    kind = re.sub(r"_\d+$", "", name)
    if kind in _TEXTS:
        allowed = _TEXTS[kind]
        # Keras takes an optimizer's name in any case.
        bad = [v for v in parameter.ends() if (str(v).lower() if kind == "optimizer" else v) not in allowed]
        told = ", ".join(sorted(allowed))
        return [
            f"{name}: unknown {shown(v)}{did_you_mean(str(v)[:100], allowed)} (allowed: {told})" for v in bad
        ]
    if kind not in _RULES:
        return []
    words, allows = _RULES[kind]
    return [f"{name}: must be {words}, got {shown(v)}" for v in parameter.ends() if not allows(v)]
