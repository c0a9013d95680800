"""Claims in their parts: effects that are worked out seed by seed, each with its rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Final, Literal, TypeAlias

import numpy as np

from fmnist_sweep.analysis.statistics import Interval, interval
from fmnist_sweep.core.curves import FloatArray
from original_study.results import Results, Run, Value
from original_study.verdict import Rule, Verdict, larger_by, together

Unit: TypeAlias = Literal["points", "per cent", "nats", "times"]

_DECIMALS: Final = 12
"""What differences have beyond is the computer's own, as in `fmnist_sweep.analysis.statistics`."""


@dataclass(frozen=True)
class Effect:
    """A sum of numbers, each of one seed, and of a constant.

    Attributes:
        terms: Sign and number.
        constant: Added to the sum.
    """

    terms: tuple[tuple[int, Value], ...]
    constant: float = 0.0

    def __add__(self, other: float) -> Effect:
        return Effect(self.terms, self.constant + other)

    def __sub__(self, other: Effect) -> Effect:
        turned = tuple((-sign, value) for sign, value in other.terms)
        return Effect((*self.terms, *turned), self.constant - other.constant)

    def __neg__(self) -> Effect:
        return Effect((), 0.0) - self

    @property
    def takes_train_accuracy(self) -> bool:
        """Whether it matters how the training accuracy is measured."""
        return any(value.takes_train_accuracy for _, value in self.terms)

    def by_seed(self, results: Results, *, running: bool = False) -> dict[int, float]:
        """Return the effect of each seed that has all its numbers."""
        columns = [(sign, results.values(value, running=running)) for sign, value in self.terms]
        seeds = reduce(set.__and__, (set(column) for _, column in columns))
        return {
            s: round(self.constant + sum(sign * column[s] for sign, column in columns), _DECIMALS)
            for s in sorted(seeds)
        }

    def sizes(self, results: Results) -> tuple[int, int]:
        """Return what an interval needs to know of the splits; see `Results.sizes`."""
        return results.sizes(self.terms[0][1].run)


def of(run: Run, what: str, epochs: int | None = None) -> Effect:
    """Return a number of a run as an effect, to be added to others."""
    return Effect(((1, Value(run, what, epochs)),))


@dataclass(frozen=True)
class Part:
    """One thing that a claim says.

    Attributes:
        words: It, in words.
        effect: The number that decides.
        rule: What it has to be.
        than: An effect that the first is to be larger than, whatever their signs.
        unit: How the effect is shown; effects in ``"times"`` are logarithms.
    """

    words: str
    effect: Effect
    rule: Rule
    than: Effect | None = None
    unit: Unit = "points"


@dataclass(frozen=True)
class Shown:
    """What the figure of a claim draws.

    Attributes:
        what: As in `Value`, of each epoch.
        runs: The configurations.
    """

    what: str
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Claim:
    """A claim of the report.

    Attributes:
        number: As the page counts them.
        model: ``"dense"`` or ``"cnn"``.
        words: What the report says, in short.
        experiment: How it is tested.
        parts: What it says, one by one.
        shown: What its figure draws.
    """

    number: int
    model: str
    words: str
    experiment: str
    parts: tuple[Part, ...]
    shown: tuple[Shown, ...] = field(default=())


@dataclass(frozen=True)
class JudgedPart:
    """What came of a part.

    Attributes:
        part: The part.
        effect: Its effect; None where no seed has it.
        verdict: What the rule says.
        running: The effect with Keras's running mean for the training accuracy; None where that was not kept,
            the same effect where the training accuracy plays no role.
        running_verdict: What the rule says of that.
    """

    part: Part
    effect: Interval | None
    verdict: Verdict
    running: Interval | None
    running_verdict: Verdict


@dataclass(frozen=True)
class Judged:
    """What came of a claim."""

    claim: Claim
    parts: tuple[JudgedPart, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict, gaps measured cleanly."""
        return together(p.verdict for p in self.parts)

    @property
    def running_verdict(self) -> Verdict | None:
        """The verdict with Keras's running mean; None where the training accuracy plays no role."""
        if not any(takes_train_accuracy(p.part) for p in self.parts):
            return None
        return together(p.running_verdict for p in self.parts)


def takes_train_accuracy(part: Part) -> bool:
    """Return whether it matters to a part how the training accuracy is measured."""
    effects = (part.effect, *(() if part.than is None else (part.than,)))
    return any(effect.takes_train_accuracy for effect in effects)


def judge(claims: Sequence[Claim], results: Results) -> list[Judged]:
    """Return what the results say of each claim."""
    return [Judged(claim, tuple(_judged(part, results) for part in claim.parts)) for claim in claims]


def _judged(part: Part, results: Results) -> JudgedPart:
    clean = _interval(part, results, running=False)
    running = _interval(part, results, running=True) if takes_train_accuracy(part) else clean
    return JudgedPart(part, clean, _verdict(part.rule, clean), running, _verdict(part.rule, running))


def _verdict(rule: Rule, effect: Interval | None) -> Verdict:
    return Verdict.UNMEASURED if effect is None else rule.verdict(effect)


def _interval(part: Part, results: Results, *, running: bool) -> Interval | None:
    first = part.effect.by_seed(results, running=running)
    n_val, n_train = part.effect.sizes(results)
    if part.than is None:
        values = list(first.values())
        return interval(values, n_val=n_val, n_train=n_train) if values else None
    other = part.than.by_seed(results, running=running)
    seeds = sorted(set(first) & set(other))
    if not seeds:
        return None
    a, b = _column(first, seeds), _column(other, seeds)
    return larger_by(a, b, n_val=n_val, n_train=n_train)


def _column(values: dict[int, float], seeds: Sequence[int]) -> FloatArray:
    return np.array([values[seed] for seed in seeds], dtype=np.float64)
