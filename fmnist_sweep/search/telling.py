"""Tell a study how a trial ended, all that is known of it first."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

import optuna
from optuna.trial import TrialState

from fmnist_sweep.core.progress import PAUSED, EndedTrial
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.search.running import RunningTrial
from fmnist_sweep.storage.writing import failed_attributes, scored_attributes, write_paused, write_result

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

    def tell(self, running: RunningTrial, state: TrialState, *, stopped_early: bool | None = None) -> Told:
        """Tell that a trial is complete or pruned; ``stopped_early`` as in `scored_attributes`."""
        curve = running.curve
        scored = self._rule.scored(curve, allowed=self._allowed)
        attrs = scored_attributes(scored, running.attributes(), stopped_early=stopped_early)
        # What Optuna takes for a pruned trial's value is its last report.
        epoch = int(scored["epoch"]) if state is TrialState.COMPLETE else len(curve) - 1
        score = self._rule.score(curve.epochs[epoch])
        write_result(running.trial, attrs)
        self._study.tell(running.trial, score if state is TrialState.COMPLETE else None, state=state)
        return attrs, EndedTrial(running.job.trial, state.name, score, "", epoch)

    def pause(self, running: RunningTrial) -> EndedTrial:
        """Tell that a trial waits for its turn, and all that it has come to, for another run to go on."""
        running.pause()
        curve = running.curve
        scored = self._rule.scored(curve, allowed=self._allowed)
        write_result(running.trial, scored_attributes(scored, running.attributes()))
        write_paused(running.trial, len(curve))
        score = self._rule.score(curve.epochs[-1])
        return EndedTrial(running.job.trial, PAUSED, score, "", len(curve) - 1)

    def fail(self, running: RunningTrial, reason: str, detail: str) -> Told:
        """Tell that a trial failed, and why."""
        if running.n_retries:
            reason = f"{reason}, after {running.n_retries} {'retry' if running.n_retries == 1 else 'retries'}"
        attrs = failed_attributes(running.attributes(), reason=reason, detail=detail)
        write_result(running.trial, attrs)
        self._study.tell(running.trial, state=TrialState.FAIL)
        return attrs, EndedTrial(running.job.trial, TrialState.FAIL.name, None, reason)

    def refuse(self, trial: optuna.Trial, reason: str) -> Told:
        """Tell that a trial failed before there was a job for it."""
        attrs = failed_attributes({}, reason=reason, detail="")
        write_result(trial, attrs)
        self._study.tell(trial, state=TrialState.FAIL)
        return attrs, EndedTrial(trial.number, TrialState.FAIL.name, None, reason)
