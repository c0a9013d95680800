"""Which rows validate where nobody says it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.jobs import SplitKind, SplitSpec
from fmnist_sweep.data.calls import Call
from fmnist_sweep.data.hold_out import held_out, rows, with_hold_out

KINDS: list[SplitKind | None] = [None, "stratified", "random", "first", "last"]


@given(
    n=st.integers(2, 200),
    n_val=st.integers(1, 300),
    seed=st.none() | st.integers(0, 5),
    kind=st.sampled_from(KINDS),
    classes=st.booleans(),
)
def test_no_row_is_in_both_parts_and_none_is_lost(
    n: int, n_val: int, seed: int | None, kind: SplitKind | None, classes: bool
) -> None:
    """Whatever the kind; as many validate as were asked for, or a fifth where that is more than half."""
    y = np.arange(n) % 3 if classes else np.linspace(0, 1, n)
    train, val = held_out(y, SplitSpec(n_val, seed, kind=kind))
    assert sorted([*train, *val]) == list(range(n))
    assert len(val) == (n_val if n_val <= n // 2 else max(1, round(0.2 * n)))
    again = held_out(y, SplitSpec(n_val, seed, kind=kind))
    assert (again[1] == val).all()


def test_the_end_of_a_series_validates_where_that_is_asked_for() -> None:
    """And its beginning likewise."""
    y = np.linspace(0, 1, 10)
    assert held_out(y, SplitSpec(3, kind="last"))[1].tolist() == [7, 8, 9]
    assert held_out(y, SplitSpec(3, kind="first"))[1].tolist() == [0, 1, 2]


def test_classes_keep_their_shares() -> None:
    """Unless another kind is asked for; one column a class is known as classes too."""
    labels = np.repeat([0, 1], [80, 20])
    for y in (labels, np.eye(2)[labels]):
        _, val = held_out(y, SplitSpec(10, seed=4))
        assert labels[val].tolist().count(1) == 2


def test_nested_rows_go_together() -> None:
    """Inputs, targets and weights of a row end up in the same part."""
    x, y = np.arange(20.0), np.arange(20) * 2.0
    args, kwargs = with_hold_out(Call(([x, x + 1], {"a": y}), {"sample_weight": y + 1}), SplitSpec(5))
    (x_val, x_more), y_val, w_val = kwargs["validation_data"]
    assert len(x_val) == 5
    np.testing.assert_array_equal(x_more, x_val + 1)
    np.testing.assert_array_equal(y_val["a"], x_val * 2)
    np.testing.assert_array_equal(w_val, x_val * 2 + 1)
    np.testing.assert_array_equal(args[1]["a"], args[0][0] * 2)
    np.testing.assert_array_equal(kwargs["sample_weight"], args[0][0] * 2 + 1)


def test_arguments_by_name_stay_so() -> None:
    """A fit with the names x and y gets them."""
    args, kwargs = with_hold_out(Call((), {"x": np.arange(10.0), "y": np.arange(10.0)}), SplitSpec(2))
    assert args == ()
    assert len(kwargs["x"]) == len(kwargs["y"]) == 8


def test_what_has_no_rows_cannot_be_split() -> None:
    """A data set says for itself what validates."""
    with pytest.raises(TrialError, match="nothing validates: give validation_data"):
        with_hold_out(Call((object(),)), SplitSpec())


def test_rows_of_a_table_are_taken_by_position() -> None:
    """Its index may be anything."""
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": [1, 2, 3]}, index=[30, 20, 10])
    assert rows(table, np.array([0, 2]))["a"].tolist() == [1, 3]
