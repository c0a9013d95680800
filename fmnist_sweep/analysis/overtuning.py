"""How much of what a sweep gained is real: the same configurations in the sweep and on fresh repeats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fmnist_sweep.analysis.confirmations import Confirmation
from fmnist_sweep.analysis.ranking import best_trials, default_trial, measured_trials
from fmnist_sweep.analysis.repeats import DEFAULT, Candidate, Standing
from fmnist_sweep.analysis.statistics import Interval
from fmnist_sweep.analysis.verdicts import amount, between
from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial

REFERENCE: Final = "at most 0 in 60.7 %, at most 0.1 in 72.1 % and at most 1 in 91.5 % of 117,578 runs"
"""How large relative overtuning was in Schneider, Bischl and Feurer (2025), "Overtuning in Hyperparameter
Optimization", AutoML Conference."""


@dataclass(frozen=True, slots=True)
class Overtuning:
    """What the sweep's best gained over the baseline in the sweep, and what of it is there on fresh repeats.

    All in what ranks the confirmation: plain validation, in one of an earlier version the score.

    Attributes:
        trial: Number of the sweep's best trial.
        first: Label of what it is compared with.
        gained: By how much it was above that in the sweep.
        remains: By how much it is above it on fresh seeds and splits.
        relative: Relative overtuning, see `overtuning`; None where it is not defined.
        n_incumbents: Of the trials that were the sweep's best for a while, so many were confirmed.
        n_all_incumbents: So many there were.
    """

    trial: int
    first: str
    gained: float
    remains: Interval
    relative: float | None
    n_incumbents: int
    n_all_incumbents: int


def incumbents(study: StoredStudy) -> list[StoredTrial]:
    """Return the trials that were the sweep's best for a while, by number."""
    found: list[StoredTrial] = []
    for trial in measured_trials(study):
        if trial.value is not None and (not found or trial.value > float(found[-1].value or 0.0)):
            found.append(trial)
    return found


def overtuning(study: StoredStudy, confirmation: Confirmation) -> Overtuning | None:
    """Return how much of a sweep's gain is real; None where its best or its baseline has no repeats.

    Relative overtuning is what the sweep's last best configuration lies below the best of all that were its
    best for a while, as a share of what that one gained over the first: 0 where the sweep ended with it, 1
    where all of the gain was lost again, above 1 where the sweep had better not begun. Here it is
    estimated from the means of those that were confirmed, the baseline first. It is not defined where none
    of them is above the baseline.

    Args:
        study: The sweep.
        confirmation: Its confirmation.
    """
    standings = {s.label: s for s in confirmation.standings if not s.n_failed}
    best, baseline = next(iter(best_trials(study, 1)), None), standings.get(str(confirmation.baseline))
    if best is None or baseline is None or len(confirmation.paired) < 2:
        return None
    last = _of(best, standings)
    before, after = _first_value(study, confirmation, baseline.candidate), _swept(best, confirmation)
    if last is None or last.label == baseline.label or before is None or after is None:
        return None
    all_of_them = incumbents(study)
    known = [s for t in all_of_them if (s := _of(t, standings)) is not None]
    top = max(s.value.mean for s in [baseline, *known])
    gain = top - baseline.value.mean
    return Overtuning(
        trial=best.number,
        first=baseline.label,
        gained=after - before,
        remains=confirmation.difference(last.label, baseline.label),
        relative=(top - last.value.mean) / gain if gain > 0 else None,
        n_incumbents=len(known),
        n_all_incumbents=len(all_of_them),
    )


def _of(trial: StoredTrial, standings: dict[str, Standing]) -> Standing | None:
    return next((s for s in standings.values() if s.candidate.trial == trial.number), None)


def _swept(trial: StoredTrial, confirmation: Confirmation, epoch: int | None = None) -> float | None:
    """Return what ranks a trial, as it was in the sweep: at its scored epoch, or at another one."""
    if confirmation.decision_rule is None:
        return trial.value
    metric = confirmation.rule.quantity
    if epoch is None:
        found = trial.scores.get(f"val_{metric.name}")
        return None if found is None else metric.sign * found
    if trial.curve is None or len(trial.curve) <= epoch:
        return None
    return metric.sign * float(trial.curve.values(f"val_{metric.name}")[epoch])


def _first_value(study: StoredStudy, confirmation: Confirmation, baseline: Candidate) -> float | None:
    if confirmation.decision_rule is None:
        return baseline.sweep_score
    trial = default_trial(study)
    if trial is None or trial.hyperparameters != baseline.hyperparameters:
        return None
    # The curve that the sweep stored, where it is as long as the baseline trains; or else its scored epoch.
    own = _swept(trial, confirmation, baseline.epochs - 1)
    return _swept(trial, confirmation) if own is None else own


def overtuning_words(study: StoredStudy, confirmation: Confirmation) -> list[str]:
    """Return how much of a sweep's gain is real, in sentences; none where it is not known."""
    found = overtuning(study, confirmation)
    if found is None:
        return []
    rule, best = confirmation.rule, f"trial {found.trial}"
    first = "your baseline" if found.first != DEFAULT else "the default"
    of = "score" if confirmation.decision_rule is None else UNITS[rule.metric].name
    ends = f"95 % {between(rule, found.remains)}"
    mean = amount(rule, found.remains.mean, signed=True)
    gained = amount(rule, found.gained, signed=found.gained <= 0)
    if found.gained <= 0:
        swept = f"In the sweep its best, {best}, was not above {first} ({gained} of {of})"
        words = [f"{swept}; on {confirmation.afresh} it is at {mean} ({ends})."]
    else:
        remain = f"{amount(rule, found.remains.mean)} remain"
        if found.remains.mean <= 0 or found.remains.mean >= found.gained:
            remain = "nothing remains" if found.remains.mean <= 0 else "all remain"
        swept = f"Of {gained} of {of} that the sweep's best, {best}, gained over {first} in the sweep"
        words = [f"{swept}, {remain} on {confirmation.afresh} ({mean}, {ends})."]
    if found.relative is not None:
        known = f"{found.n_incumbents} of the {found.n_all_incumbents} configurations"
        words.append(
            f"Relative overtuning is estimated at {found.relative:.2f}, by {known} that were the sweep's "
            f"best for a while; elsewhere it was {REFERENCE}."
        )
    return words
