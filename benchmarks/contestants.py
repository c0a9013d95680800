"""Ways to train a list of trials, each run in a process of its own: ours, and what a user would pick instead.

``python -m benchmarks.contestants NAME WORKLOAD.json RESULT.json``. Everything heavy loads inside the
contestant that needs it, so that each pays for its own start.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.workload import Workload
from fmnist_sweep.core.jobs import DataRef, Scalar
from fmnist_sweep.core.places import Places


def ours(work: Workload) -> dict[str, Any]:
    """Run the real search with the local engine, an SQLite storage and the trials queued."""
    import optuna

    from fmnist_sweep.data import open_data
    from fmnist_sweep.engines.local import LocalEngine
    from fmnist_sweep.search.loop import Search
    from fmnist_sweep.search.opening import open_study
    from fmnist_sweep.storage.checkpoints import CheckpointFolder
    from fmnist_sweep.storage.lease.ownership import ownership
    from fmnist_sweep.storage.opening import open_storage, side_folder

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    config, data = work.config(), open_data()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/studies.db"
        study = open_study(config, data, open_storage(url, create=True))
        searched = set(config.sampled_space.searched)
        for point in work.points:
            study.enqueue_trial({name: value for name, value in point.items() if name in searched})
        checkpoints = CheckpointFolder(side_folder(url, config.file.study))
        _start_fork_server(data)
        with (
            ownership(study) as owner,
            LocalEngine(work.n_workers, places=Places.of(data, checkpoints=checkpoints.path)) as engine,
        ):
            began = time.time()
            Search.of(config, data, study, engine, run=owner.run, checkpoints=checkpoints).run()
            ended = time.time()
        trials = study.get_trials(deepcopy=False)
        failed = [t.user_attrs.get("fail_reason") for t in trials if t.state.name != "COMPLETE"]
        if failed:
            raise RuntimeError(f"trials failed: {failed}")
        return {
            "began": began,
            "ended": ended,
            "val_accuracy": [t.user_attrs["curve"]["val_accuracy"][-1] for t in trials],
            "trial_seconds": [t.user_attrs["seconds"] for t in trials],
            "epoch_seconds": [t.user_attrs["curve"]["seconds"] for t in trials],
        }


def _start_fork_server(data: DataRef) -> None:
    """Have TensorFlow imported before the clock of the trials starts, as for the others: it is start."""
    from fmnist_sweep.core.jobs import TrialJob
    from fmnist_sweep.engines.local import LocalEngine

    with LocalEngine(1, trainer="fmnist_sweep.training.testing:ScriptedTrainer") as engine:
        engine.submit(TrialJob(0, "dense", {}, 1, 0, data))
        while engine.running:
            engine.events(1)


def script(work: Workload) -> dict[str, Any]:
    """Train as the report's script does: ``model.fit`` on NumPy's float64 arrays, default threads."""
    arrays = _arrays(work, double=True)
    began = time.time()
    scores = [_fit(work, point, arrays) for point in work.points]
    return {"began": began, "ended": time.time(), "val_accuracy": scores}


def kerastuner(work: Workload) -> dict[str, Any]:
    """Let a KerasTuner tuner search, its oracle handing out the list."""
    import keras_tuner

    class ListOracle(keras_tuner.Oracle):  # type: ignore[misc]  # KerasTuner carries no types
        """Hands out the given points in order."""

        def populate_space(self, trial_id: str) -> dict[str, Any]:
            """Return the next point."""
            return {"status": "RUNNING", "values": {**work.points[int(trial_id)], "epochs": work.epochs}}

    arrays = _arrays(work)
    hyperparameters = keras_tuner.HyperParameters()
    with tempfile.TemporaryDirectory() as folder:
        oracle = ListOracle(
            objective=keras_tuner.Objective("val_accuracy", "max"),
            max_trials=len(work.points),
            hyperparameters=hyperparameters,
            tune_new_entries=False,
            seed=work.seed,
        )
        tuner = keras_tuner.Tuner(oracle, _hypermodel(work), directory=folder)
        began = time.time()
        tuner.search(*arrays.train, validation_data=arrays.val, verbose=0)
        ended = time.time()
        trials = [oracle.trials[trial] for trial in sorted(oracle.trials, key=int)]
        scores = [t.metrics.get_history("val_accuracy")[-1].value[-1] for t in trials]
    return {"began": began, "ended": ended, "val_accuracy": scores}


def optuna_loop(work: Workload) -> dict[str, Any]:
    """Call ``study.optimize`` with an objective that fits a Keras model, the trials queued."""
    import optuna

    from fmnist_sweep.search import samplers

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    arrays = _arrays(work)
    space = work.config().sampled_space
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=work.seed))
    for point in work.points:
        study.enqueue_trial({name: value for name, value in point.items() if name in space.searched})
    began = time.time()
    study.optimize(lambda trial: _fit(work, samplers.draw(trial, space), arrays), n_trials=len(work.points))
    return {"began": began, "ended": time.time(), "val_accuracy": [t.value for t in study.trials]}


def ray_tune(work: Workload) -> dict[str, Any]:
    """Run Ray Tune on this machine, each trial on one of its CPUs."""
    os.environ.update(RAY_AIR_NEW_OUTPUT="0", RAY_DEDUP_LOGS="0", TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1")
    import ray
    from ray import tune

    def train(config: Mapping[str, Any]) -> None:
        tune.report({"val_accuracy": _fit(work, work.points[config["i"]], _arrays(work))})

    ray.init(num_cpus=work.n_workers, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        with tempfile.TemporaryDirectory() as folder:
            tuner = tune.Tuner(
                tune.with_resources(train, {"cpu": 1}),
                param_space={"i": tune.grid_search(list(range(len(work.points))))},
                run_config=tune.RunConfig(storage_path=folder, verbose=0),
            )
            began = time.time()
            results = tuner.fit()
            ended = time.time()
            if results.errors:
                raise results.errors[0]
            told = [results[i] for i in range(len(results))]
            scores = {r.config["i"]: r.metrics["val_accuracy"] for r in told}
    finally:
        ray.shutdown()
    return {"began": began, "ended": ended, "val_accuracy": [scores[i] for i in range(len(work.points))]}


CONTESTANTS: Final[Mapping[str, Callable[[Workload], dict[str, Any]]]] = {
    "ours": ours,
    "script": script,
    "kerastuner": kerastuner,
    "optuna": optuna_loop,
    "ray": ray_tune,
}
TITLES: Final = {
    "ours": "fmnist-sweep, all cores",
    "script": "the report's script in a loop",
    "kerastuner": "KerasTuner, same HyperModel",
    "optuna": "Optuna `study.optimize`",
    "ray": "Ray Tune, one CPU a worker",
}
_NEEDS: Final = {"kerastuner": ("tensorboard", "bench"), "ray": ("ray", "bench-ray")}
"""Package and extra that a contestant needs beside the project itself."""


def missing(name: str) -> str | None:
    """Return why a contestant can't run here; None where it can."""
    package, extra = _NEEDS.get(name, ("", ""))
    if not package or importlib.util.find_spec(package) is not None:
        return None
    return f"{package} is not installed here: pip install 'fmnist-sweep[{extra}]'"


class Arrays(NamedTuple):
    """Images and labels."""

    train: tuple[Any, Any]
    val: tuple[Any, Any]


def _arrays(work: Workload, *, double: bool = False) -> Arrays:
    """Return the data, Keras loaded: it counts as start."""
    importlib.import_module("fmnist_sweep.models.building")
    from fmnist_sweep.data import load_split, open_data

    split = load_split(open_data(), work.config().split)
    kind = "float64" if double else "float32"
    return Arrays((split.x_train.astype(kind), split.y_train), (split.x_val.astype(kind), split.y_val))


def _hypermodel(work: Workload) -> Any:
    from fmnist_sweep.models import ConvModel, DenseModel

    return {"dense": DenseModel, "cnn": ConvModel}[work.model]()


def _fit(work: Workload, point: Mapping[str, Scalar], arrays: Arrays) -> float:
    """Return the validation accuracy after the last epoch of a plain ``model.fit``."""
    import keras

    from fmnist_sweep.models.hyperparameters import filled

    keras.utils.set_random_seed(work.seed)
    model = _hypermodel(work).build(filled(point))
    history = model.fit(
        *arrays.train,
        epochs=work.epochs,
        batch_size=int(point["batch_size"]),
        validation_data=arrays.val,
        verbose=0,
    )
    return float(history.history["val_accuracy"][-1])


def main() -> None:
    """Run one contestant and write what came of it."""
    name, workload, result = sys.argv[1:]
    work = Workload.from_json(Path(workload).read_text(encoding="utf-8"))
    told = CONTESTANTS[name](work)
    Path(result).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
