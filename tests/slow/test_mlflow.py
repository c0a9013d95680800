"""A run that logs to a real server of MLflow, read back by MLflow's own client."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import optuna
import pytest
from programs import free_port

from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.progress import Stop

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on loopback, with SQLite."""
    folder = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--workers", "1"]
    log = (folder / "server.log").open("wb")
    quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=quiet, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urlopen(f"{url}/health").close()  # noqa: S310 - of this machine
                break
            except (URLError, ConnectionError):
                assert process.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.5)
        yield url
    finally:
        os.killpg(process.pid, 15)
        process.wait()
        log.close()


def test_a_study_is_a_run_and_its_trials_are_child_runs(
    server: str, sweep: Callable[..., tuple[Stop, optuna.Study]], make_config: Callable[..., SweepConfig]
) -> None:
    """With hyperparameters, metrics by epoch and how each ended; a run that goes on adds to the same."""
    from mlflow import MlflowClient

    from fmnist_sweep.observers.opening import open_observers

    client = MlflowClient(server)
    for n_trials in (2, 3):
        (observer,) = open_observers({"mlflow": {"tracking_uri": server, "experiment": "tests"}})
        stop, study = sweep(make_config(budget={"trials": n_trials}), observer=observer)
        assert stop is Stop.TRIALS
        experiment = client.get_experiment_by_name("tests")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id])
        (parent,) = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
        children = {run.info.run_name: run for run in runs if run is not parent}
        assert parent.info.status == "FINISHED"
        assert parent.data.params["score.metric"] == "accuracy"
    assert {run.data.tags["mlflow.parentRunId"] for run in children.values()} == {parent.info.run_id}
    first = study.trials[0]
    run = children["trial 0"]
    assert run.info.status == "FINISHED"
    assert float(run.data.params["learning_rate"]) == pytest.approx(
        first.user_attrs["hyperparameters"]["learning_rate"]
    )
    assert run.data.metrics["trial_score"] == pytest.approx(first.value)
    history = client.get_metric_history(run.info.run_id, "val/accuracy")
    assert [m.step for m in sorted(history, key=lambda m: m.step)] == [1, 2, 3, 4]


def test_a_bundle_becomes_artifacts_of_its_studys_run(server: str, tmp_path: Path) -> None:
    """Of the run that there is; where there is none it is made, and has ended."""
    from mlflow import MlflowClient

    from fmnist_sweep.observers.opening import open_observers

    (tmp_path / "dense").mkdir()
    (tmp_path / "dense" / "model.keras").write_bytes(b"a model")
    for _ in range(2):
        (observer,) = open_observers({"mlflow": {"tracking_uri": server, "experiment": "bundles"}})
        observer.on_export("dense", tmp_path / "dense")
    client = MlflowClient(server)
    experiment = client.get_experiment_by_name("bundles")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("dense", "FINISHED")
    (file,) = client.list_artifacts(run.info.run_id, "bundle/dense")
    assert (file.path, file.file_size) == ("bundle/dense/model.keras", 7)


def test_a_server_that_is_away_is_told_once_and_stops_nothing(
    sweep: Callable[..., tuple[Stop, optuna.Study]], make_config: Callable[..., SweepConfig]
) -> None:
    """The sweep comes to its end."""
    from fmnist_sweep.core.observer import Observers
    from fmnist_sweep.observers.opening import open_observers

    said: list[str] = []
    gone = open_observers({"mlflow": {"tracking_uri": "http://127.0.0.1:9"}})
    stop, _ = sweep(make_config(budget={"trials": 2}), observer=Observers(gone, said.append))
    assert stop is Stop.TRIALS
    assert len(said) == 1
    assert "the observer MLflow failed" in said[0]
