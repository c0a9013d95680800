"""Stored JSON as Python's own module reads it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from fmnist_sweep.storage.json_text import parsed


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, 2.5, -0.0, 1e-7, 0.1, 1e400]}',
        '"\\ud800"',
        "[-Infinity]",
        "12345678901234567890123",
        " null ",
    ],
)
def test_values_are_those_of_the_standard_module(text: str) -> None:
    """Every float to its last bit, and half a character too, which other readers refuse."""
    assert repr(parsed(text)) == repr(json.loads(text))


def test_no_number_is_a_number() -> None:
    """A running mean may have diverged."""
    assert math.isnan(parsed("[NaN]")[0])


@pytest.mark.parametrize("text", ["{half", "", "1 2", "[" * 3000, None])
def test_what_is_none_is_told_in_the_words_of_the_standard_module(text: Any) -> None:
    """The lines on damaged studies have told of it so far in these words."""
    with pytest.raises((ValueError, TypeError, RecursionError)) as expected:
        json.loads(text)
    with pytest.raises(type(expected.value)) as told:
        parsed(text)
    assert str(told.value) == str(expected.value)
