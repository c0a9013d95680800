"""What the confirmation of a study came to: read from its linked study, with verdicts in plain words.

The linked study is called after the confirmed one, see `confirm_name`, and lies in the same storage. Each of
its trials is one repeat of one candidate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import numpy as np

from fmnist_sweep.analysis.ranking import measured_trials
from fmnist_sweep.analysis.statistics import Interval, interval, paired_difference
from fmnist_sweep.core.curves import METRICS, FloatArray
from fmnist_sweep.core.jobs import Scalar
from fmnist_sweep.core.score import ScoreRule, exceeds
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial

DEFAULT: Final = "default"
"""Label of the model's default configuration."""

EQUAL_SHARE: Final = 0.1
"""Sizes, and times, that differ by no more than this share of the smaller one count as equal."""

MEASURED: Final = (
    "score", "val_accuracy", "val_cross_entropy", "gap", "train_accuracy", "train_cross_entropy",
)  # fmt: skip
"""What is known of each repeat, and averaged for each candidate."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A configuration that is confirmed.

    Attributes:
        label: ``"trial 12"``, or ``"default"`` for the model's default configuration.
        trial: Its number in the confirmed study; None for a default configuration that is not in it.
        hyperparameters: The complete set, without the number of epochs.
        epochs: Number of epochs that each repeat trains: up to the epoch that the sweep scored.
        sweep_score: Its score in the confirmed study, which picked it; None where it has none.
        n_parameters: Number of weights, as far as it is known before a repeat; no part of what it is.
    """

    label: str
    trial: int | None
    hyperparameters: Mapping[str, Scalar]
    epochs: int
    sweep_score: float | None
    n_parameters: int | None = field(default=None, compare=False)

    def to_attribute(self) -> dict[str, Any]:
        """Return the form that is stored with the study; ``Candidate(**stored)`` reads it back."""
        return {**asdict(self), "hyperparameters": dict(self.hyperparameters)}


@dataclass(frozen=True, slots=True)
class Repeat:
    """One training of a candidate, scored after its last epoch on images that did not pick it.

    Attributes:
        candidate: The candidate's label.
        repeat: Counted from 0; the same number means the same seed and the same split.
        trial: The trial's number in the linked study.
        seed: Seed of the training.
        split_seed: Seed of the split.
        score: By the study's rule.
        val_accuracy: As in `EpochScores`, and so the next three.
        train_accuracy: As above.
        val_cross_entropy: As above.
        train_cross_entropy: As above.
        gap: In the rule's metric; positive is overfitting.
        n_parameters: Number of weights; None where it was not told.
        seconds: Wall-clock time of the training.
    """

    candidate: str
    repeat: int
    trial: int
    seed: int
    split_seed: int
    score: float
    val_accuracy: float
    train_accuracy: float
    val_cross_entropy: float
    train_cross_entropy: float
    gap: float
    n_parameters: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Failure:
    """A repeat that failed and has not been trained since."""

    candidate: str
    repeat: int
    reason: str


@dataclass(frozen=True)
class Standing:
    """What came of one candidate.

    Attributes:
        candidate: The candidate.
        intervals: Mean and interval of each quantity of `MEASURED`.
        n_parameters: Number of weights.
        seconds: Mean wall-clock time of a training.
        n_failed: Repeats that failed.
        rival: Label of the best of the other candidates; None without another.
        to_rival: Paired difference of the scores, this one's less the rival's.
        to_default: The same to the default configuration; None for that itself.
    """

    candidate: Candidate
    intervals: Mapping[str, Interval]
    n_parameters: int | None
    seconds: float
    n_failed: int = 0
    rival: str | None = None
    to_rival: Interval | None = None
    to_default: Interval | None = None

    @property
    def label(self) -> str:
        """The candidate's label."""
        return self.candidate.label

    @property
    def score(self) -> Interval:
        """Mean and interval of the score."""
        return self.intervals["score"]

    @property
    def regression(self) -> float | None:
        """By how much the mean score is below the sweep's; None without a score of the sweep."""
        swept = self.candidate.sweep_score
        return None if swept is None else swept - self.score.mean


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
    """

    study: str
    rule: ScoreRule
    candidates: tuple[Candidate, ...]
    n_repeats: int
    repeats: tuple[Repeat, ...]
    failures: tuple[Failure, ...]
    n_val: int
    n_train: int

    @cached_property
    def finished(self) -> bool:
        """Whether every repeat of every candidate has come to its end; one that failed has, too."""
        ended = {(r.candidate, r.repeat) for r in self.repeats}
        ended |= {(f.candidate, f.repeat) for f in self.failures}
        return bool(self.candidates) and all(
            (c.label, r) in ended for c in self.candidates for r in range(self.n_repeats)
        )

    @cached_property
    def paired(self) -> tuple[int, ...]:
        """The repeats that are compared: those that every candidate has, candidates with failures aside."""
        failed = {failure.candidate for failure in self.failures}
        compared = [c.label for c in self.candidates if c.label not in failed]
        have = {(r.candidate, r.repeat) for r in self.repeats}
        return tuple(r for r in range(self.n_repeats) if all((label, r) in have for label in compared))

    def of(self, label: str) -> tuple[Repeat, ...]:
        """Return those of the compared repeats that a candidate has, in order."""
        return tuple(r for r in self.repeats if r.candidate == label and r.repeat in self.paired)

    @cached_property
    def standings(self) -> tuple[Standing, ...]:
        """What came of each candidate that has a repeat, best mean score first; those that failed last."""
        compared = [s for c in self.candidates if (s := self._alone(c)) is not None]
        compared.sort(key=lambda s: (bool(s.n_failed), -s.score.mean))
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
                name: interval([getattr(r, name) for r in rows], n_val=self.n_val, n_train=self.n_train)
                for name in MEASURED
            },
            n_parameters=sizes.pop() if len(sizes) == 1 else None,
            seconds=float(np.mean([r.seconds for r in rows])),
            n_failed=sum(failure.candidate == candidate.label for failure in self.failures),
        )

    def _against_others(self, standing: Standing, whole: list[str]) -> Standing:
        if standing.label not in whole:
            return standing
        rival = next((label for label in whole if label != standing.label), None)
        default = DEFAULT if DEFAULT in whole and standing.label != DEFAULT else None
        return replace(
            standing,
            rival=rival,
            to_rival=None if rival is None else self.difference(standing.label, rival),
            to_default=None if default is None else self.difference(standing.label, default),
        )

    def difference(self, label: str, other: str) -> Interval:
        """Return the paired difference of two candidates' scores, the first less the second."""
        a, b = self._scores(label), self._scores(other)
        return paired_difference(a, b, n_val=self.n_val, n_train=self.n_train)

    def _scores(self, label: str) -> FloatArray:
        return np.array([r.score for r in self.of(label)], dtype=np.float64)

    @cached_property
    def winner(self) -> Standing | None:
        """The smallest of those that are tied with the best one; None before the confirmation is finished.

        Tied are two whose paired difference has 0 in its interval. Of those that are equally small, to
        within `EQUAL_SHARE`, the one with the best mean wins. A candidate of which a repeat failed can't.
        """
        whole = [s for s in self.standings if not s.n_failed]
        if not self.finished or not whole:
            return None
        best = whole[0]
        tied = [best, *(s for s in whole[1:] if self.difference(best.label, s.label).sign == 0)]
        limit = (1 + EQUAL_SHARE) * min(_size(s) for s in tied)
        # In the order of their means.
        return next(s for s in tied if _size(s) <= limit)


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
    left = linked.data["n_train"] - training["n_val"]
    return Confirmation(
        study=str(linked.confirms),
        rule=linked.rule,
        candidates=candidates,
        n_repeats=linked.n_repeats,
        repeats=tuple(rows[pair] for pair in order if pair in rows),
        failures=tuple(
            Failure(*pair, failed[pair].fail_words)
            for pair in order
            if pair in failed and pair[1] < linked.n_repeats
        ),
        n_val=training["n_val"],
        n_train=left if training["train_size"] is None else training["train_size"],
    )


def _pair(trial: StoredTrial) -> tuple[str, int] | None:
    if trial.candidate is None or trial.repeat is None:
        return None
    return trial.candidate, trial.repeat


def _repeat(pair: tuple[str, int], trial: StoredTrial) -> Repeat:
    # A repeat that was measured has all of these, but perhaps its number of weights.
    own = ("gap", "seed", "split_seed", "seconds", "n_parameters")
    told: dict[str, Any] = {name: getattr(trial, name) for name in own}
    scores: dict[str, Any] = {name: trial.scores[name] for name in METRICS}
    return Repeat(pair[0], pair[1], trial.number, score=float(trial.value or 0.0), **told, **scores)
