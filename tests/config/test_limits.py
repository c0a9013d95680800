"""What a built-in model can be built with: for each rule the last value allowed and the first refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from fmnist_sweep.config.limits import _RULES, value_problems
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.jobs import Scalar
from fmnist_sweep.core.space import FixedParameter, FloatParameter, IntParameter
from fmnist_sweep.models.spaces import MAX_BLOCKS, MAX_DEPTH

BELOW_0 = math.nextafter(0.0, -1.0)
ABOVE_0 = math.nextafter(0.0, 1.0)
BELOW_1 = math.nextafter(1.0, 0.0)
ABOVE_1 = math.nextafter(1.0, 2.0)

Edges = tuple[str, tuple[Scalar, ...], tuple[Scalar, ...]]

POSITIVE: Edges = ("a number above 0", (ABOVE_0, 1, 1e9), (0.0, 0, BELOW_0, True, "1"))
FROM_0: Edges = ("a number from 0 up", (0.0, 0, 1e9), (BELOW_0, -1, False, "0"))
SHARE: Edges = ("a number from 0 to 1", (0.0, 0, 1.0, 1), (BELOW_0, ABOVE_1, 2, True, "1"))
TRUTH: Edges = ("true or false", (True, False), (0, 1, 1.0, "true"))
COUNT: Edges = ("a whole number from 1 up", (1, 10**9), (0, -1, 1.0, True, "1"))

RULES: dict[str, Edges] = {
    "learning_rate": POSITIVE,
    "l2": FROM_0,
    "weight_decay": FROM_0,
    "dropout": SHARE,
    "conv_dropout": SHARE,
    "label_smoothing": SHARE,
    "batch_norm": TRUTH,
    "flip": TRUTH,
    "alternate_flips": TRUTH,
    "erase": SHARE,
    "ema": ("a number from 0 up and below 1", (0.0, 0, BELOW_1), (BELOW_0, 1, 1.0, True, "0")),
    "global_pooling": TRUTH,
    "shift": ("a whole number from 0 up", (0, 10**9), (-1, 0.0, False, "0")),
    "depth": (f"a whole number from 1 to {MAX_DEPTH}", (1, MAX_DEPTH), (0, MAX_DEPTH + 1, 1.0, True)),
    "conv_blocks": (
        f"a whole number from 1 to {MAX_BLOCKS}",
        (1, MAX_BLOCKS),
        (0, MAX_BLOCKS + 1, 1.0, True),
    ),
    "batch_size": (
        f"a whole number from 1 to {2**31 - 1}",
        (1, 2**31 - 1),
        (0, 2**31, 1.0, True, "1"),
    ),
    "units": COUNT,
    "filters": COUNT,
    "kernel_size": COUNT,
    "pool_size": COUNT,
    "dense_units": COUNT,
    "convs_per_block": COUNT,
    "schedule_epochs": COUNT,
}


def test_the_edges_of_every_rule_are_known() -> None:
    """The test below leaves none out."""
    assert set(RULES) == set(_RULES)


@pytest.mark.parametrize("name", RULES)
def test_the_last_value_is_allowed_and_the_next_is_refused(name: str) -> None:
    """On either side, and values of another type; the refusal says what is allowed and what was given."""
    words, allowed, refused = RULES[name]
    assert [value for value in allowed if value_problems(name, FixedParameter(value=value))] == []
    for value in refused:
        told = value_problems(name, FixedParameter(value=value))
        assert told == [f"{name}: must be {words}, got {value!r}"]


def test_both_ends_of_a_range_are_looked_at() -> None:
    """A numbered parameter has the limits of its kind."""
    assert value_problems("units_2", IntParameter(low=1, high=9)) == []
    assert value_problems("units_2", IntParameter(low=0, high=9)) == [
        "units_2: must be a whole number from 1 up, got 0"
    ]
    assert value_problems("dropout", FloatParameter(low=-0.5, high=1.5)) == [
        "dropout: must be a number from 0 to 1, got -0.5",
        "dropout: must be a number from 0 to 1, got 1.5",
    ]


def test_a_sweep_file_has_the_same_limits(make_config: Callable[..., SweepConfig]) -> None:
    """No decay and no shift are settings like others; less than nothing is refused."""

    def space(decay: float, shift: int) -> dict[str, Any]:
        return {"learning_rate": {}, "weight_decay": decay, "shift": shift, "epochs": 3}

    assert make_config(space=space(0.0, 0)).space["shift"].values() == (0,)
    with pytest.raises(ConfigError) as caught:
        make_config(space=space(-0.001, -1))
    assert sorted(caught.value.problems) == [
        "space.shift: must be a whole number from 0 up, got -1",
        "space.weight_decay: must be a number from 0 up, got -0.001",
    ]
