"""Ratios with their spread, and bars that they meet or miss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

_Name = TypeVar("_Name")


@dataclass(frozen=True)
class Spread:
    """Several measurements of one quantity: never shown as one number.

    Attributes:
        median: Of the measurements.
        low: Their smallest.
        high: Their largest.
        n: How many there are.

    Raises:
        ValueError: From `of`, without a measurement or with one that is not finite.

    Example:
        >>> Spread.of([3.0, 1.0, 2.0])
        Spread(median=2.0, low=1.0, high=3.0, n=3)
    """

    median: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of some measurements."""
        if not values or not all(math.isfinite(value) for value in values):
            raise ValueError(f"a spread needs finite measurements; got {list(values)}")
        return cls(float(np.median(values)), float(min(values)), float(max(values)), len(values))

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.low:.3g} to {self.high:.3g}, n = {self.n})"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Return how many times as fast ours is, block by block: their seconds over ours.

    Args:
        ours: Seconds of each block.
        theirs: Seconds of the same blocks, in the same order.

    Raises:
        ValueError: They are not of the same blocks.

    Example:
        >>> ratios([1.0, 2.0], [3.0, 8.0]).median
        3.5
    """
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} blocks of ours can't be compared with {len(theirs)} of theirs")
    return Spread.of([b / a for a, b in zip(ours, theirs, strict=True)])


def rotated(names: Sequence[_Name], block: int) -> list[_Name]:
    """Return the order in which competitors run in a block: each is first in turn.

    Example:
        >>> rotated(["a", "b", "c"], 1)
        ['b', 'c', 'a']
    """
    start = block % len(names)
    return [*names[start:], *names[:start]]


@dataclass(frozen=True)
class Bar:
    """A line of the table: what was measured and what it has to be.

    Attributes:
        area: Which comparison, such as ``"throughput"``.
        what: What was measured, in words.
        value: The measured number; None where it could not be measured, and ``note`` says why.
        limit: What it has to reach, or may not pass.
        sense: ``">="`` where more is better.
        unit: Such as ``"x"`` or ``"s"``.
        spread: The measurements behind the value, as text; empty where it is a count.
        note: What else has to be said.
    """

    area: str
    what: str
    value: float | None
    limit: float
    sense: Literal[">=", "<="]
    unit: str = "x"
    spread: str = ""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None where it was not measured."""
        if self.value is None:
            return None
        return self.value >= self.limit if self.sense == ">=" else self.value <= self.limit

    def to_dict(self) -> dict[str, Any]:
        """Return the bar as plain JSON values."""
        return {**self.__dict__, "met": self.met}


def median_with_missing(values: Sequence[float | None]) -> float | None:
    """Return the median of times of which some were never reached; None where most were not.

    Example:
        >>> median_with_missing([1.0, None, 3.0]), median_with_missing([1.0, None, None])
        (3.0, None)
    """
    median = float(np.median([math.inf if value is None else value for value in values]))
    return median if math.isfinite(median) else None


def table(bars: Sequence[Bar]) -> str:
    """Return the bars as a table for the terminal."""
    rows = [("", "comparison", "measured", "bar", "")]
    for bar in bars:
        word = {True: "met", False: "MISSED", None: "-"}[bar.met]
        rows.append((word, f"{bar.area}: {bar.what}", shown(bar), limit(bar), bar.note))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        "  ".join(
            [*(cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)), row[4]]
        ).rstrip()
        for row in rows
    )


def shown(bar: Bar) -> str:
    """Return what was measured, with its unit and spread."""
    if bar.value is None:
        return "not measured"
    value = f"{bar.value:,.0f}" if abs(bar.value) >= 1000 else f"{bar.value:.3g}"
    return f"{value} {bar.unit}" + (f" ({bar.spread})" if bar.spread else "")


def limit(bar: Bar) -> str:
    """Return the bar itself in words."""
    return f"{'at least' if bar.sense == '>=' else 'at most'} {bar.limit:g} {bar.unit}"
