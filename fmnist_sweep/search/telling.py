"""Tell a study how a trial ended, all that is known of it first."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, TypeAlias

import optuna
from optuna.trial import TrialState

from fmnist_sweep.core.progress import EndedTrial
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.search.running import RunningTrial

_DETAIL_CHARACTERS: Final = 4000

Told: TypeAlias = tuple[Mapping[str, Any], EndedTrial]
"""What was stored with a trial, and how it ended."""


class Teller:
    """Tells trials.

    Args:
        study: The study, held by this process.
        rule: Scores their curves.
        allowed: Epochs, from 0, that may be scored; None allows all.
    """

    def __init__(self, study: optuna.Study, rule: ScoreRule, allowed: Collection[int] | None) -> None:
        self._study = study
        self._rule = rule
        self._allowed = allowed

    def tell(self, running: RunningTrial, state: TrialState, extra: Mapping[str, Any] | None = None) -> Told:
        """Tell that a trial is complete or pruned, with further attributes if there are some."""
        curve = running.curve
        scored = self._rule.scored(curve, allowed=self._allowed)
        attrs = {**scored, **running.attributes(), **(extra or {})}
        # What Optuna takes for a pruned trial's value is its last report.
        epoch = int(scored["epoch"]) if state is TrialState.COMPLETE else len(curve) - 1
        score = self._rule.score(curve.epochs[epoch])
        _write(running, attrs)
        self._study.tell(running.trial, score if state is TrialState.COMPLETE else None, state=state)
        return attrs, EndedTrial(running.job.trial, state.name, score, "")

    def fail(self, running: RunningTrial, reason: str, detail: str) -> Told:
        """Tell that a trial failed, and why."""
        if running.n_retries:
            reason = f"{reason}, after {running.n_retries} {'retry' if running.n_retries == 1 else 'retries'}"
        attrs = {**running.attributes(), "fail_reason": reason, "fail_detail": detail[-_DETAIL_CHARACTERS:]}
        _write(running, attrs)
        self._study.tell(running.trial, state=TrialState.FAIL)
        return attrs, EndedTrial(running.job.trial, TrialState.FAIL.name, None, reason)


def _write(running: RunningTrial, attrs: Mapping[str, Any]) -> None:
    # All of it before the state: a finished trial can't be written to.
    for name, value in attrs.items():
        running.trial.set_user_attr(name, value)
