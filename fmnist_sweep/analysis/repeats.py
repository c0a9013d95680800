"""The candidates of a confirmation, their repeats, and what came of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from fmnist_sweep.analysis.statistics import Interval
from fmnist_sweep.core.jobs import Scalar

BASELINE: Final = "baseline"
"""Label of what the user had before: the model's default configuration, trained as its author has it."""

DEFAULT: Final = "default"
"""Label of the default configuration in a confirmation of an earlier version, trained like a candidate."""

EQUAL_SHARE: Final = 0.1
"""Sizes, and times, that differ by no more than this share of the smaller one count as equal."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A configuration that is confirmed.

    Attributes:
        label: ``"trial 12"``, `BASELINE` or `DEFAULT`.
        trial: Its number in the confirmed study; None for a baseline, and a default that is not in it.
        hyperparameters: The complete set, without the number of epochs.
        epochs: Number of epochs that each repeat trains: up to the epoch that the sweep scored, of a baseline
            the model's own.
        sweep_score: Its score in the confirmed study, which picked it; None where it has none.
        n_parameters: Number of weights, as far as it is known before a repeat; no part of what it is.
        fit_epochs: As in `TrialJob`; no part of what it is.
    """

    label: str
    trial: int | None
    hyperparameters: Mapping[str, Scalar]
    epochs: int
    sweep_score: float | None
    n_parameters: int | None = field(default=None, compare=False)
    fit_epochs: int | None = field(default=None, compare=False)

    def to_attribute(self) -> dict[str, Any]:
        """Return the form that is stored with the study; ``Candidate(**stored)`` reads it back."""
        stored = {**asdict(self), "hyperparameters": dict(self.hyperparameters)}
        if self.fit_epochs is None:
            del stored["fit_epochs"]
        return stored


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
        scores: Train and validation scores, by names such as ``val_accuracy``.
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
    scores: Mapping[str, float]
    gap: float
    n_parameters: int | None
    seconds: float

    @property
    def measured(self) -> dict[str, float]:
        """All that was measured of it, by name: the score, the gap, and the scores."""
        val = {name: value for name, value in self.scores.items() if name.startswith("val_")}
        return {"score": self.score, **val, "gap": self.gap, **self.scores}

    def facts(self) -> dict[str, Any]:
        """Return it as values that JSON can hold, the scores beside the rest."""
        facts: dict[str, Any] = {}
        for name, value in asdict(self).items():
            facts |= self._by_metric() if name == "scores" else {name: value}
        return facts

    def _by_metric(self) -> dict[str, float]:
        """Return the scores, validation before training of each metric."""
        metrics = dict.fromkeys(name.partition("_")[2] for name in self.scores)
        names = [f"{part}_{metric}" for metric in metrics for part in ("val", "train")]
        return {name: self.scores[name] for name in names if name in self.scores}


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
        intervals: Mean and interval of each quantity of `Repeat.measured` that every repeat has.
        n_parameters: Number of weights.
        seconds: Mean wall-clock time of a training.
        n_failed: Repeats that failed.
        rival: Label of the best of the other candidates; None without another.
        value: Mean and interval of what ranks the candidates; larger is better.
        to_rival: Paired difference of that value, this one's less the rival's.
        to_default: Difference to the baseline, or else to the default configuration; None for that itself.
            Of all candidates together its low ends hold, see `pooled_differences`.
    """

    candidate: Candidate
    intervals: Mapping[str, Interval]
    n_parameters: int | None
    seconds: float
    value: Interval
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
