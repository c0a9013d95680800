"""Numbers and counts in words, for the terminal and for pages."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fmnist_sweep.core.foreign import safe_line
from fmnist_sweep.core.jobs import Scalar

_MANY: Final = 10
"""More numbers than a note lists."""


class _Shown(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxlist, self.maxtuple, self.maxdict, self.maxother = 3, 6, 6, 6, 100
        self.maxstring = self.maxlong = 100

    def repr_int(self, x: int, level: int) -> str:
        del level
        # Python writes out no number of thousands of digits.
        digits = int(x.bit_length() * math.log10(2)) + 1
        return repr(x) if digits <= self.maxlong else f"a number of {digits:,} digits"


_SHOWN: Final = _Shown()


def shown(value: Any) -> str:
    """Return what a user gave, as a message repeats it: as Python writes it, in at most a line or so.

    Example:
        >>> shown("tpe"), shown(list(range(1000)))
        ("'tpe'", '[0, 1, 2, 3, 4, 5, ...]')
    """
    return _SHOWN.repr(value)


def shown_list(values: Sequence[Any]) -> str:
    """Return what a user gave, one after the other; of many the first.

    Example:
        >>> shown_list([1, "a"])
        "1, 'a'"
    """
    more = [f"and {len(values) - _MANY:,} more"] if len(values) > _MANY else []
    return ", ".join([*map(shown, values[:_MANY]), *more])


def unmeasured_note(n: int) -> str:
    """Return the note on ``n`` complete trials that another tool reported.

    Example:
        >>> unmeasured_note(1)
        '1 complete trial was told by another tool, without a learning curve: listed, but in no ranking.'
    """
    were = "trial was" if n == 1 else "trials were"
    return f"{n} complete {were} told by another tool, without a learning curve: listed, but in no ranking."


def too_large_note(n: int, limit: int) -> str:
    """Return the note on ``n`` complete trials that a lowered ``max_model_size`` rules out.

    Example:
        >>> too_large_note(2, 120_000)
        '2 complete trials have more weights than max_model_size = 120,000: never confirmed or exported.'
    """
    have = "trial has" if n == 1 else "trials have"
    return f"{n} complete {have} more weights than max_model_size = {limit:,}: never confirmed or exported."


def edited_note(numbers: Sequence[int]) -> str:
    """Return the note on trials of a model that was edited after its study began.

    Example:
        >>> edited_note([7])
        '* Trial 7 trained the model as it was edited after the study began.'
        >>> edited_note([3, 4, 9])
        '* Trials 3, 4, 9 trained the model as it was edited after the study began.'
    """
    told = f"{', '.join(map(str, numbers[:_MANY]))}{', ...' if len(numbers) > _MANY else ''}"
    which = f"Trial {told}" if len(numbers) == 1 else f"Trials {told}"
    return f"* {which} trained the model as it was edited after the study began."


MAX_CELL: Final = 200
"""Characters of a name or a value in a table: those that people give are shorter."""

ABSENT: Final = "\N{EN DASH}"
"""Shown where there is no value."""


NOT_STORED: Final = (
    "An Optuna objective of your own made it: the model, the data, the seeds and a baseline are not stored, "
    "so that it can't be confirmed, exported or gone on with from here; fmnist_sweep.Tuner keeps them."
)
"""What a study lacks that was made by an objective of the user's, in one sentence."""

_BARS: Final = "▁▂▃▄▅▆▇█"


def sparklines(*curves: Iterable[float]) -> list[str]:
    """Return each curve as a block character for each value, from the lowest to the highest of all of them.

    Example:
        >>> sparklines([0.0, 0.5, 1.0], [0.0, 0.5])
        ['▁▅█', '▁▅']
    """
    rows = [[float(value) for value in curve] for curve in curves]
    values = [value for row in rows for value in row]
    low, high = min(values), max(values)
    scale = (len(_BARS) - 1) / ((high - low) or 1.0)
    return ["".join(_BARS[round(scale * (v - low) + 1e-9)] for v in row) for row in rows]


@dataclass(frozen=True)
class Unit:
    """How a score's metric is shown to people.

    Attributes:
        metric: Name of the metric.
        factor: Stored number times this is the shown one.
        value: Unit of a value.
        gap: Unit of a gap.
        decimals: Decimals shown.
    """

    metric: str
    factor: float
    value: str
    gap: str
    decimals: int

    @property
    def in_points(self) -> bool:
        """Whether a gap is shown in points of a hundred."""
        return self.gap == "points"

    @property
    def name(self) -> str:
        """The metric in words."""
        return self.metric.replace("_", "-")

    def axis(self, what: str) -> str:
        """Return an axis title, such as ``"validation accuracy (%)"``."""
        unit = f" ({self.value})" if self.value else ""
        return f"{what} {self.name}{unit}".lstrip()

    def gap_axis(self) -> str:
        """Return an axis title for gaps, such as ``"gap (points)"``; a metric without a unit has none."""
        return f"gap ({self.gap})" if self.gap else "gap"

    def tolerance(self, gap: float) -> str:
        """Return a tolerance as it was set: ``"1 point"``, ``"0.5 points"``, ``"0.05 nats"``."""
        number = f"{self.factor * gap:g}"
        return f"{number} {self.gap.removesuffix('s') if number == '1' else self.gap}".rstrip()

    def show(self, value: float | None, *, gap: bool = False, signed: bool = False) -> str:
        """Return a value with its unit, such as ``"89.1 %"`` or ``"1.2 points"``; `ABSENT` without one."""
        if value is None or math.isnan(value):
            return ABSENT
        sign = "+" if signed else ""
        number = f"{self.factor * value:{sign}.{self.decimals}f}".replace("-", "\N{MINUS SIGN}")
        return f"{number} {self.gap if gap or signed else self.value}".rstrip()


def show_score(value: float | None) -> str:
    """Return a score as it is stored, with four decimals, so that it is found again in every other tool."""
    if value is None or math.isnan(value):
        return ABSENT
    return f"{value:.4f}".replace("-", "\N{MINUS SIGN}")


def show_interval(number: Mapping[str, Any], unit: Unit, *, gap: bool = False, signed: bool = False) -> str:
    """Return a number with its 95 % interval: ``"89.12 % (88.90 to 89.34)"``.

    Args:
        number: ``mean`` and ``interval_95``, which is None where there is none.
        unit: Of the number.
        gap: Whether it is a difference.
        signed: Whether positive numbers have their sign too.
    """
    shown = unit.show(number["mean"], gap=gap, signed=signed)
    if number["interval_95"] is None:
        return shown
    sign = "+" if signed else ""
    low, high = (f"{unit.factor * end:{sign}.{unit.decimals}f}" for end in number["interval_95"])
    return f"{shown} ({low} to {high})".replace("-", "\N{MINUS SIGN}")


def show_value(value: Scalar | None) -> str:
    """Return a hyperparameter's value short enough for a table.

    Example:
        >>> [show_value(v) for v in (0.000123456, 300, "relu", False)]
        ['0.000123', '300', 'relu', 'false']
    """
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.3g}" if isinstance(value, float) else safe_line(str(value), MAX_CELL)


def show_seconds(seconds: float) -> str:
    """Return a length of time for people.

    Example:
        >>> [show_seconds(s) for s in (9.6, 75, 4000)]
        ['10 s', '1 min 15 s', '1 h 6 min']
    """
    if math.isnan(seconds):
        return ABSENT
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def counted(n: int, noun: str) -> str:
    """Return a number with its noun, in the plural but for one.

    Example:
        >>> [counted(n, "trial") for n in (0, 1, 1200)]
        ['0 trials', '1 trial', '1,200 trials']
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def megabytes(n_bytes: int) -> str:
    """Return a size for people: ``3_600_000`` is ``"3.6 MB"``."""
    return f"{n_bytes / 1e6:,.1f} MB"


def percent(fraction: float) -> str:
    """Return a fraction as per cent with two decimals: ``0.8912`` is ``"89.12 %"``."""
    return f"{100 * fraction:.2f} %"


def points(fraction: float) -> str:
    """Return a difference of fractions as signed accuracy points: ``0.012`` is ``"+1.20 points"``."""
    return f"{100 * fraction:+.2f} points"


def fraction(value: float | None) -> str:
    """Return an accuracy or a score with four decimals; a dash without one."""
    return "-" if value is None else f"{value:.4f}"


def difference(value: float | None) -> str:
    """Return a gap or a difference with its sign and four decimals; a dash without one."""
    return "-" if value is None else f"{value:+.4f}"
