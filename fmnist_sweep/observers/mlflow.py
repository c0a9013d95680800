"""A run of MLflow for each study, with a child run for each trial that ended."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.progress import EndedTrial, Stop
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.observers.numbers import by_epoch, rule_of
from fmnist_sweep.observers.threaded import Threaded

# Its own defaults wait for a server that is away for ten minutes; and it tells its makers of its use.
for _name, _value in {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}.items():
    os.environ.setdefault(_name, _value)

from mlflow import MlflowClient  # noqa: E402 - it reads what stands above once, as it is imported
from mlflow.entities import Metric, Param, RunTag  # noqa: E402
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID  # noqa: E402

_STUDY: Final = "fmnist_sweep.study"
_AT_ONCE: Final = 1000
"""Metrics that MLflow takes in one request."""

_STATUS: Final = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}


def mlflow_runs(experiment: str = "fmnist-sweep", tracking_uri: str | None = None) -> Observer:
    """Return an observer that logs to MLflow, from a thread of its own.

    The study is a run that is named like it, and goes on where there is one; each trial that ends becomes a
    child run with its hyperparameters, its metrics by epoch, from 1 (``train/NAME``, ``val/NAME``, ``gap``,
    ``score``), and the status FINISHED, KILLED (pruned) or FAILED. A bundle becomes artifacts of the study's
    run, in ``bundle/NAME``.

    Args:
        experiment: Its name; made where there is none.
        tracking_uri: Of the server, or a folder's or database's; None takes ``MLFLOW_TRACKING_URI``, or
            MLflow's default.
    """
    return Threaded(MLflow(MlflowClient(tracking_uri), experiment))


class MLflow(Observer):
    """Logs a run for each study and a child run for each trial; see `mlflow_runs`.

    Args:
        client: Of the server.
        experiment: Its name.
    """

    def __init__(self, client: MlflowClient, experiment: str) -> None:
        self._client = client
        self._name = experiment
        self._experiment = ""
        self._study = ""
        self._rule: ScoreRule | None = None

    @override
    def on_start(self, study: str, settings: Mapping[str, Any]) -> None:
        self._rule = rule_of(settings)
        if not self._open(study):
            self._client.update_run(self._study, status="RUNNING")
            return
        told = {key: value for key, value in settings.items() if not isinstance(value, Mapping)}
        told |= {f"score.{key}": value for key, value in settings.get("score", {}).items()}
        self._client.log_batch(self._study, params=[Param(key, str(value)) for key, value in told.items()])

    @override
    def on_export(self, study: str, bundle: Path) -> None:
        if self._open(study):
            # Nothing runs: the study was not told of, or is of another experiment.
            self._client.set_terminated(self._study)
        self._client.log_artifacts(self._study, str(bundle), f"bundle/{bundle.name}")

    def _open(self, study: str) -> bool:
        """Find the run of a study, or make it; return whether it was made."""
        known = self._client.get_experiment_by_name(self._name)
        self._experiment = (
            self._client.create_experiment(self._name) if known is None else known.experiment_id
        )
        # A name of a study holds no quote.
        ours = self._client.search_runs([self._experiment], f"tags.`{_STUDY}` = '{study}'", max_results=1)
        if ours:
            self._study = ours[0].info.run_id
            return False
        run = self._client.create_run(self._experiment, run_name=study, tags={_STUDY: study})
        self._study = run.info.run_id
        return True

    @override
    def on_trial_end(self, trial: EndedTrial, job: TrialJob, curve: LearningCurve) -> None:
        name = f"trial {trial.number}"
        tags = {MLFLOW_PARENT_RUN_ID: self._study, "state": trial.state}
        run = self._client.create_run(self._experiment, run_name=name, tags=tags).info.run_id
        now = int(time.time() * 1000)
        metrics = [
            Metric(key, value, now, epoch)
            for epoch, found in by_epoch(curve, self._rule)
            for key, value in found.items()
        ]
        if trial.value is not None:
            metrics.append(Metric("trial_score", trial.value, now, len(curve)))
        params = [Param(key, str(value)) for key, value in job.hyperparameters.items()]
        reason = [RunTag("reason", trial.reason)] if trial.reason else []
        self._client.log_batch(run, params=params, tags=reason)
        for i in range(0, len(metrics), _AT_ONCE):
            self._client.log_batch(run, metrics=metrics[i : i + _AT_ONCE])
        self._client.set_terminated(run, _STATUS[trial.state])

    @override
    def on_end(self, stop: Stop | None) -> None:
        ended = "FAILED" if stop is None else "KILLED" if stop is Stop.INTERRUPTED else "FINISHED"
        self._client.set_terminated(self._study, ended)
