import math

import pytest

from benchmarks.stats import Bar, Spread, median_with_missing, ratios, rotated, table


def test_a_spread_is_of_finite_measurements() -> None:
    """Median, ends and count; nothing and NaN are refused instead of being shown as a number."""
    assert Spread.of([5.0, 1.0, 2.0, 4.0]) == Spread(3.0, 1.0, 5.0, 4)
    for values in ([], [1.0, math.nan], [math.inf]):
        with pytest.raises(ValueError, match="finite"):
            Spread.of(values)


def test_ratios_are_of_the_same_blocks() -> None:
    """Their seconds over ours, block by block, above 1 where ours is faster."""
    assert ratios([1.0, 2.0, 4.0], [2.0, 2.0, 16.0]) == Spread(2.0, 1.0, 4.0, 3)
    with pytest.raises(ValueError, match="can't be compared"):
        ratios([1.0], [1.0, 2.0])


def test_everyone_begins_in_turn() -> None:
    """Over as many blocks as competitors each has had each place once."""
    orders = [rotated(["a", "b", "c"], block) for block in range(3)]
    assert [sorted(place) for place in zip(*orders, strict=True)] == [["a", "b", "c"]] * 3


@pytest.mark.parametrize(
    ("value", "sense", "met"),
    [(3.0, ">=", True), (2.99, ">=", False), (3.0, "<=", True), (3.01, "<=", False), (None, ">=", None)],
)
def test_a_bar_is_met_at_its_edge(value: float | None, sense: str, met: bool | None) -> None:
    """And one that was not measured is neither met nor missed."""
    bar = Bar("area", "what", value, 3.0, sense, note="why")  # type: ignore[arg-type]
    assert bar.met is met
    assert bar.to_dict()["met"] is met
    line = table([bar]).splitlines()[1]
    assert line.split()[0] == {True: "met", False: "MISSED", None: "-"}[met]
    assert line.endswith("why")


def test_a_median_of_times_counts_what_was_never_reached() -> None:
    """As longer than any other; most of them missing leaves no median."""
    assert median_with_missing([1.0, 2.0, None]) == 2.0
    assert median_with_missing([None, 1.0]) is None
