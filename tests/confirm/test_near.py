"""Which configurations are confirmed as one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fmnist_sweep.confirm.near import merged, near
from fmnist_sweep.core.space import ChoiceParameter, FloatParameter, IntParameter, SearchSpace

SPACE = SearchSpace(
    {
        "rate": FloatParameter(low=1e-4, high=1e-2, log=True),
        "units": IntParameter(low=100, high=200),
        "activation": ChoiceParameter(choices=("relu", "tanh")),
    }
)
POINT: dict[str, Any] = {"rate": 1e-3, "units": 150, "activation": "relu"}


@pytest.mark.parametrize(
    ("other", "is_near"),
    [
        ({}, True),
        ({"units": 152}, True),
        ({"units": 153}, False),
        ({"units": 148, "rate": 1.09e-3}, True),
        ({"rate": 1.1e-3}, False),
        ({"activation": "tanh"}, False),
        ({"dropout": 0.1}, False),
    ],
)
def test_near_are_equal_choices_and_numbers_within_a_fiftieth_of_their_range(
    other: dict[str, Any], is_near: bool
) -> None:
    """Where the range is logarithmic, of its logarithm; a parameter that one lacks is another choice."""
    assert near(POINT, {**POINT, **other}, SPACE) is is_near


def test_what_the_space_does_not_draw_has_to_be_equal() -> None:
    """A fixed value that differs comes from another run of the study."""
    assert not near({"batch_size": 32}, {"batch_size": 33}, SPACE)


@pytest.mark.parametrize(
    ("epochs", "kept"), [({}, [0, 2]), ({"epochs": IntParameter(low=1, high=20)}, [0, 1, 2])]
)
def test_of_near_ones_the_first_is_kept(epochs: dict[str, Any], kept: list[int]) -> None:
    """One that is near a merged one alone stays; epochs count where the sweep draws them."""
    space = SearchSpace({**{name: SPACE[name] for name in SPACE}, **epochs})
    trials: list[Any] = [
        SimpleNamespace(number=i, hyperparameters={**POINT, "units": units}, scored_after=5 + i)
        for i, units in enumerate((150, 152, 154))
    ]
    assert [t.number for t in merged(trials, space)] == kept
