"""What the confirmation of a study came to: read from its linked study, with verdicts in plain words.

The linked study is called after the confirmed one, see `confirm_name`, and lies in the same storage. Each of
its trials is one repeat of one candidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np

from fmnist_sweep.analysis.decision import N_DUEL, Decision, DecisionRule, decide, picked
from fmnist_sweep.analysis.ranking import measured_trials
from fmnist_sweep.analysis.repeats import (
    BASELINE,
    DEFAULT,
    EQUAL_SHARE,
    Candidate,
    Failure,
    Repeat,
    Standing,
)
from fmnist_sweep.analysis.statistics import Interval, interval, paired_difference, pooled_differences
from fmnist_sweep.core.curves import FloatArray
from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.core.score import ScoreRule, exceeds
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial


@dataclass(frozen=True)
class Confirmation:
    """The repeats of a study's candidates. Read one with `read_confirmation`.

    Attributes:
        study: Name of the confirmed study.
        rule: The rule that scored the repeats, each after its last epoch.
        candidates: In the order in which they were taken up.
        n_repeats: Repeats that each candidate is to have.
        repeats: Those that are complete, by number and then as the candidates are.
        failures: Those that failed, less such as are beyond ``n_repeats``.
        n_val: Number of validation images of each split.
        n_train: Number of training images of each split.
        decision_rule: How the winner is decided; None for one of an earlier version, where the smallest of
            the tied wins.
        splits_are_drawn: Whether each repeat has a split of its own. Where the data or the kind of split say
            what validates, repeats differ in their seeds alone, and so do the intervals.
    """

    study: str
    rule: ScoreRule
    candidates: tuple[Candidate, ...]
    n_repeats: int
    repeats: tuple[Repeat, ...]
    failures: tuple[Failure, ...]
    n_val: int
    n_train: int
    decision_rule: DecisionRule | None = None
    splits_are_drawn: bool = True

    @property
    def afresh(self) -> str:
        """What is fresh in each repeat, in words."""
        return "fresh seeds and splits" if self.splits_are_drawn else "fresh seeds"

    @property
    def shown_metrics(self) -> tuple[str, ...]:
        """The metrics that tables show: the one of the score, and a loss beside it where there is one."""
        first = self.rule.shown_metric
        known = {name for r in self.repeats for name in r.scores}
        others = (name for name in ("cross_entropy", "loss") if f"val_{name}" in known and name != first)
        return (first, *list(others)[:1])

    @property
    def _sizes(self) -> dict[str, int]:
        # Repeats on one and the same split share no more than that: there is nothing to correct for.
        return {"n_val": self.n_val, "n_train": self.n_train} if self.splits_are_drawn else _ONE_SPLIT

    @property
    def baseline(self) -> str | None:
        """Label of what the others are compared with; None where there is none."""
        labels = [c.label for c in self.candidates]
        return next((label for label in (BASELINE, DEFAULT) if label in labels), None)

    @cached_property
    def _ended(self) -> set[tuple[str, int]]:
        ended = {(r.candidate, r.repeat) for r in self.repeats}
        return ended | {(f.candidate, f.repeat) for f in self.failures}

    @cached_property
    def selected(self) -> bool:
        """Whether every repeat that all candidates have has come to its end; one that failed has, too."""
        pairs = [(c.label, r) for c in self.candidates for r in range(self.n_repeats)]
        return bool(pairs) and set(pairs) <= self._ended

    @cached_property
    def finished(self) -> bool:
        """Whether the duel has come to its end as well, where there is one."""
        return self.selected and set(self.duel_pairs) <= self._ended

    @cached_property
    def duel_pairs(self) -> list[tuple[str, int]]:
        """The fresh repeats of pick and baseline under `DecisionRule.thorough`, once the pick is known."""
        labels = (self.pick, self.baseline)
        if self.decision_rule is None or not self.decision_rule.thorough or not self.selected:
            return []
        if None in labels or self.baseline not in self._whole:
            return []
        fresh = range(self.n_repeats, self.n_repeats + N_DUEL)
        return [(str(label), r) for r in fresh for label in labels]

    @cached_property
    def _failed(self) -> set[str]:
        return {f.candidate for f in self.failures if f.repeat < self.n_repeats}

    @cached_property
    def _whole(self) -> list[str]:
        """Labels of the candidates that can be compared: they have repeats, and none of them failed."""
        return [c.label for c in self.candidates if c.label not in self._failed and self.of(c.label)]

    @cached_property
    def pick(self) -> str | None:
        """Label of the candidate that is compared with the baseline; None before all have their repeats."""
        labels = [label for label in self._whole if label != self.baseline]
        if self.decision_rule is None or not self.selected or not labels:
            return None
        means = {label: float(self._values(label).mean()) for label in labels}
        sizes = {s.label: _size(s) for s in self.standings}
        return picked(means, sizes, self.decision_rule, factor=UNITS[self.rule.metric].factor)

    @cached_property
    def decision(self) -> Decision | None:
        """What was decided; None before all is there, and in a confirmation of an earlier version."""
        if self.decision_rule is None or not self.finished or not self._whole:
            return None
        baseline = self.baseline if self.baseline in self._whole else None
        labels, repeats = [label for label in self._whole if label != self.baseline], self.paired
        if self.duel_pairs:
            repeats = self.duel
            labels = [label for label in labels if label == self.pick]
        if len(repeats) < 2 and baseline is not None and labels:
            return None
        return decide(
            {label: self._values(label, repeats) for label in labels},
            None if baseline is None else self._values(baseline, repeats),
            self.decision_rule,
            baseline_label=str(self.baseline),
            pick=self.pick,
            n_val=self._sizes["n_val"],
            n_train=self._sizes["n_train"],
        )

    @cached_property
    def duel(self) -> tuple[int, ...]:
        """The fresh repeats that both pick and baseline have."""
        have = {(r.candidate, r.repeat) for r in self.repeats}
        labels, fresh = (dict.fromkeys(parts) for parts in zip(*self.duel_pairs, strict=True))
        return tuple(r for r in fresh if all((label, r) in have for label in labels))

    @cached_property
    def paired(self) -> tuple[int, ...]:
        """The repeats that are compared: those that every candidate has, candidates with failures aside."""
        compared = [c.label for c in self.candidates if c.label not in self._failed]
        have = {(r.candidate, r.repeat) for r in self.repeats}
        return tuple(r for r in range(self.n_repeats) if all((label, r) in have for label in compared))

    def of(self, label: str) -> tuple[Repeat, ...]:
        """Return those of the compared repeats that a candidate has, in order."""
        return tuple(r for r in self.repeats if r.candidate == label and r.repeat in self.paired)

    @cached_property
    def standings(self) -> tuple[Standing, ...]:
        """What came of each candidate that has a repeat, best mean score first; those that failed last."""
        compared = [s for c in self.candidates if (s := self._alone(c)) is not None]
        compared.sort(key=lambda s: (bool(s.n_failed), -s.value.mean))
        whole = [s.label for s in compared if not s.n_failed]
        return tuple(self._against_others(s, whole) for s in compared)

    def _alone(self, candidate: Candidate) -> Standing | None:
        rows = self.of(candidate.label)
        if not rows:
            return None
        sizes = {r.n_parameters for r in rows}
        return Standing(
            candidate,
            {
                name: interval([r.measured[name] for r in rows], **self._sizes)
                for name in rows[0].measured
                if all(name in r.measured for r in rows)
            },
            n_parameters=sizes.pop() if len(sizes) == 1 else None,
            seconds=float(np.mean([r.seconds for r in rows])),
            value=interval(self._values(candidate.label), **self._sizes),
            n_failed=sum(f.candidate == candidate.label for f in self.failures if f.repeat < self.n_repeats),
        )

    def _against_others(self, standing: Standing, whole: list[str]) -> Standing:
        if standing.label not in whole:
            return standing
        rival = next((label for label in whole if label != standing.label), None)
        return replace(
            standing,
            rival=rival,
            to_rival=None if rival is None else self.difference(standing.label, rival),
            to_default=self._to_baseline(standing.label, whole),
        )

    def _to_baseline(self, label: str, whole: list[str]) -> Interval | None:
        if self.baseline not in whole or label == self.baseline:
            return None
        if self.decision_rule is None:
            return self.difference(label, self.baseline)
        others = [other for other in whole if other != self.baseline]
        differences = pooled_differences(
            [self._values(other) for other in others],
            self._values(self.baseline),
            **self._sizes,
        )
        return differences[others.index(label)].interval

    def difference(self, label: str, other: str) -> Interval:
        """Return the paired difference of two candidates' values, the first less the second."""
        a, b = self._values(label), self._values(other)
        return paired_difference(a, b, **self._sizes)

    def _values(self, label: str, repeats: Sequence[int] | None = None) -> FloatArray:
        """Return what ranks a candidate, in the repeats that are compared, or in these."""
        rows = self.of(label)
        if repeats is not None:
            rows = tuple(r for r in self.repeats if r.candidate == label and r.repeat in repeats)
        return np.array([self.value(r) for r in rows], dtype=np.float64)

    def value(self, repeat: Repeat) -> float:
        """Return what ranks a repeat: the plain validation score, in an earlier version the penalised one."""
        if self.decision_rule is None:
            return repeat.score
        return self.rule.quantity.sign * float(repeat.scores[f"val_{self.rule.metric}"])

    @cached_property
    def winner(self) -> Standing | None:
        """What is handed out; None before the confirmation is finished.

        It is what the `decision` says. In a confirmation of an earlier version it is the smallest of those
        that are tied with the best one: their paired difference has 0 in its interval. Of those that are
        equally small, to within `EQUAL_SHARE`, the one with the best mean wins. A candidate of which a
        repeat failed can't.
        """
        whole = [s for s in self.standings if not s.n_failed]
        if self.decision is not None:
            return next(s for s in whole if s.label == self.decision.winner)
        if self.decision_rule is not None or not self.finished or not whole:
            return None
        best = whole[0]
        tied = [best, *(s for s in whole[1:] if self.difference(best.label, s.label).sign == 0)]
        limit = (1 + EQUAL_SHARE) * min(_size(s) for s in tied)
        # In the order of their means.
        return next(s for s in tied if _size(s) <= limit)


_ONE_SPLIT: Final = {"n_val": 0, "n_train": 1}


def _size(standing: Standing) -> float:
    return float("inf") if standing.n_parameters is None else standing.n_parameters


def read_confirmation(study: StoredStudy) -> Confirmation | None:
    """Read what the confirmation of a study has come to.

    Args:
        study: The confirmed study, or the linked one itself.

    Returns:
        None where the study was never confirmed, or its confirmation is damaged. Candidates that are larger
        than the sweep now allows are left out with their repeats.
    """
    linked = study if study.is_confirmation else study.linked
    if linked is None or linked.candidates is None or linked.damaged:
        return None
    training, told = linked.config["training"], (Candidate(**c) for c in linked.candidates)
    limit = study.size_limit
    candidates = tuple(c for c in told if not exceeds(limit, c.n_parameters))
    labels = [c.label for c in candidates]
    # A trial is told its candidate first and its repeat then: in between it counts for neither.
    known = [(pair, t) for t in linked.trials if (pair := _pair(t)) is not None and pair[0] in labels]
    measured = {t.number for t in measured_trials(linked)}
    rows = {pair: _repeat(pair, t) for pair, t in known if t.number in measured}
    # The last word counts: a repeat that failed may be trained again.
    failed = {pair: t for pair, t in dict(known).items() if t.state == "FAIL"}
    n = 1 + max((r for (_, r), _ in known), default=-1)
    order = [(label, r) for r in range(n) for label in labels]
    left = linked.data["n_train"] - (0 if linked.data.get("validates") else linked.n_val)
    kept = left if training["train_size"] is None else min(left, training["train_size"])
    rule = None if linked.decision is None else DecisionRule(**linked.decision)
    n_duel = N_DUEL if rule is not None and rule.thorough else 0
    return Confirmation(
        study=str(linked.confirms),
        rule=linked.rule,
        candidates=candidates,
        n_repeats=linked.n_repeats,
        repeats=tuple(rows[pair] for pair in order if pair in rows),
        failures=tuple(
            Failure(*pair, failed[pair].fail_words)
            for pair in order
            if pair in failed and pair[1] < linked.n_repeats + n_duel
        ),
        n_val=linked.n_val,
        n_train=kept,
        decision_rule=rule,
        splits_are_drawn=linked.splits_are_drawn,
    )


def _pair(trial: StoredTrial) -> tuple[str, int] | None:
    if trial.candidate is None or trial.repeat is None:
        return None
    return trial.candidate, trial.repeat


def _repeat(pair: tuple[str, int], trial: StoredTrial) -> Repeat:
    # A repeat that was measured has these, but perhaps its number of weights.
    own = ("gap", "seed", "split_seed", "seconds", "n_parameters")
    told: dict[str, Any] = {name: getattr(trial, name) for name in own}
    return Repeat(
        pair[0], pair[1], trial.number, score=float(trial.value or 0.0), scores=dict(trial.scores), **told
    )
