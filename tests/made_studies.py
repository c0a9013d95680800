"""Studies as a sweep stores them, with learning curves written by hand: nothing is trained."""

from __future__ import annotations

import functools
import math
import pickle
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.storage.stored import StoredStudy

SPACE: dict[str, Any] = {
    "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-2, "log": True},
    "l2": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
    "activation": {"type": "choice", "choices": ["relu", "tanh", "elu"]},
    "batch_size": {"type": "fixed", "value": 32},
    "depth": {"type": "int", "low": 1, "high": 3},
    "units_1": {"type": "int", "low": 16, "high": 512, "log": True},
    "units_2": {"type": "int", "low": 16, "high": 512, "log": True, "when": {"depth": [2, 3]}},
    "units_3": {"type": "int", "low": 16, "high": 512, "log": True, "when": {"depth": [3]}},
    "epochs": {"type": "int", "low": 3, "high": 20},
}
DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
    "l2": FloatDistribution(1e-6, 1e-2, log=True),
    "activation": CategoricalDistribution(("relu", "tanh", "elu")),
    "depth": IntDistribution(1, 3),
    "units_1": IntDistribution(16, 512, log=True),
    "units_2": IntDistribution(16, 512, log=True),
    "units_3": IntDistribution(16, 512, log=True),
}


def config(name: str = "dense", **score: Any) -> dict[str, Any]:
    """Return a resolved sweep config as a study stores it."""
    return {
        "study": name,
        "model": "dense",
        "data": "fashion-mnist",
        "tune_new_entries": False,
        "space": SPACE,
        "score": {
            "metric": "accuracy",
            "penalty": 1.0,
            "tolerance": 0.01,
            "epoch_rule": "best",
            "min_val_accuracy": None,
            **score,
        },
        "training": {
            "seed": 0,
            "batch_size": 32,
            "n_val": 5000,
            "split_seed": None,
            "train_size": None,
            "n_probe": 10000,
            "patience": None,
        },
        "sampler": {"name": "tpe"},
        "pruner": {"name": "median"},
        "budget": {"trials": 30, "seconds": None, "epochs": None},
    }


def scripted_curve(final: float, overfit: float, *, n_epochs: int = 20, speed: float = 3.0) -> LearningCurve:
    """Return a curve that rises to ``final`` validation accuracy while its gap grows to ``overfit``."""
    rows = []
    for e in range(n_epochs):
        rise = 1 - math.exp(-(e + 1) / speed)
        wobble = 0.002 * math.sin(3.1 * e + 40 * final)
        val = final - 0.16 * (1 - rise) + wobble - 0.15 * overfit * (e / n_epochs) ** 3
        train = min(1.0, final - 0.16 * (1 - rise) + overfit * ((e + 1) / n_epochs) ** 1.5)
        rows.append(
            EpochScores.of_classes(
                e,
                round(train, 6),
                round(1.2 * (1 - train), 6),
                round(val, 6),
                round(1.2 * (1 - val) + 2 * overfit * (e / n_epochs) ** 2, 6),
                2.5,
            )
        )
    return LearningCurve(tuple(rows))


def params_of(i: int) -> dict[str, Any]:
    """Return the i-th of an endless list of configurations of the conditional space."""
    depth = 1 + i % 3
    values: dict[str, Any] = {
        "learning_rate": 10 ** (-5 + 3 * ((i * 0.618) % 1)),
        "l2": 10 ** (-6 + 4 * ((i * 0.414) % 1)),
        "activation": ("relu", "tanh", "elu")[(i * 2) % 3],
        "depth": depth,
    }
    return {**values, **{f"units_{k}": 16 + (i * 37 * k) % 497 for k in range(1, depth + 1)}}


def empty_study(storage: str | BaseStorage | None, name: str = "dense", **score: Any) -> optuna.Study:
    """Return a study with the attributes that a sweep writes when it starts."""
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    stored: dict[str, Any] = {
        "config": config(name, **score),
        "config_digest": "c0ffee" * 8,
        "data_digest": "da7a" * 16,
        "data": {
            "name": "fashion-mnist",
            "input_shape": [28, 28, 1],
            "class_names": ["T-shirt/top", "Trouser"],
            "n_train": 60000,
        },
        "versions": {"tensorflow": "2.21.0", "optuna": "5.0.0"},
        "model_path": "fmnist_sweep.models:DenseModel",
        "allowed_epochs": list(range(2, 20)) if score.get("epoch_rule", "best") == "best" else None,
        "default_trial": 0,
    }
    for key, value in stored.items():
        study.set_user_attr(key, value)
    return study


def add_trial(
    study: optuna.Study,
    params: dict[str, Any],
    curve: LearningCurve | None,
    *,
    state: TrialState = TrialState.COMPLETE,
    distributions: dict[str, BaseDistribution] | None = None,
    **attrs: Any,
) -> None:
    """Add one trial as the search loop stores it."""
    known = DISTRIBUTIONS if distributions is None else distributions
    rule = ScoreRule(**study.user_attrs["config"]["score"])
    stored: dict[str, Any] = {"hyperparameters": {**params, "batch_size": 32}}
    value, reports = None, {}
    if curve is not None:
        scores = rule.scores(curve)
        reports = {e: float(s) for e, s in enumerate(scores)}
        stored["curve"] = curve.to_attribute()
    if curve is not None and state in (TrialState.COMPLETE, TrialState.PRUNED):
        epoch = rule.scored_epoch(curve, allowed=study.user_attrs["allowed_epochs"])
        at = curve.epochs[epoch]
        value = float(scores[epoch] if state == TrialState.COMPLETE else scores[-1])
        stored |= {
            **at.by_name(),
            "gap": float(rule.gaps(curve)[epoch]),
            "epoch": epoch,
            "n_epochs": len(curve),
            "n_parameters": 10_000 + 300 * int(params.get("units_1", 100)),
            "seconds": 2.5 * len(curve),
            "peak_memory_mb": 640.0,
            "seed": len(study.get_trials(deepcopy=False)),
            "stopped_early": False,
        }
    with warnings.catch_warnings():
        # Optuna warns of a pruned trial without a value in create_trial only.
        warnings.simplefilter("ignore", UserWarning)
        trial = optuna.create_trial(
            state=state,
            params=params,
            distributions={name: known[name] for name in params},
            value=value,
            intermediate_values=reports,
            user_attrs={**stored, **attrs},
        )
    study.add_trial(trial)


def tell_from_elsewhere(study: optuna.Study, value: float, *, number: int | None = None) -> int:
    """Let another tool, which knows Optuna alone, tell a trial's score; return the trial's number."""
    if number is None:
        number = study.ask({"learning_rate": DISTRIBUTIONS["learning_rate"]}).number
    study.tell(number, value)
    return number


def fill_study(study: optuna.Study, n: int = 24) -> None:
    """Add complete, pruned, failed, running and waiting trials; trial 0 is the default configuration."""
    for i in range(n):
        overfit = 0.006 + 0.09 * ((i * 0.618 + 0.35) % 1)
        curve = scripted_curve(0.862 + 0.025 * ((i * 0.37) % 1) + 0.35 * overfit, overfit, speed=2 + i % 4)
        if i % 7 == 5:
            short = LearningCurve(curve.epochs[: 4 + i % 3])
            add_trial(study, params_of(i), short, state=TrialState.PRUNED)
        elif i % 11 == 10:
            add_trial(
                study,
                params_of(i),
                LearningCurve(curve.epochs[:3]),
                state=TrialState.FAIL,
                fail_reason="val_cross_entropy is nan after epoch 4: the training diverged",
                fail_detail="Traceback ...",
            )
        else:
            add_trial(study, params_of(i), curve)
    study.enqueue_trial(params_of(n))
    study.add_trial(optuna.create_trial(state=TrialState.RUNNING, params={}, distributions={}))


def add_confirmation(
    study: optuna.Study,
    scores: Mapping[str, Sequence[float | None]],
    *,
    n_repeats: int | None = None,
    n_parameters: Mapping[str, int] | None = None,
    seconds: Mapping[str, float] | None = None,
    decision: Mapping[str, Any] | None = None,
) -> optuna.Study:
    """Confirm a study's candidates, by their labels, with the given scores; None is a repeat that failed.

    Train and validation accuracy are alike, so that each is the score. With a ``decision``, by today's rule:
    what is not given of it is as nobody asks for it.
    """
    name, metric = study.study_name, study.user_attrs["config"]["score"]["metric"]
    linked = empty_study(study._storage, f"{name}-confirm", metric=metric, epoch_rule="last")
    swept = {f"trial {t.number}": t for t in study.get_trials(deepcopy=False)}
    swept["default"] = swept["baseline"] = swept["trial 0"]
    links = {
        "kind": "confirm",
        "confirms": name,
        "n_repeats": max(map(len, scores.values())) if n_repeats is None else n_repeats,
        "candidates": [
            {
                "label": label,
                "trial": None if label == "baseline" else swept[label].number,
                "hyperparameters": swept[label].user_attrs["hyperparameters"],
                "epochs": swept[label].user_attrs["epoch"] + 1,
                "sweep_score": swept[label].value,
            }
            for label in scores
        ],
    }
    if decision is not None:
        links["decision"] = {"sure": 0.8, "thorough": False, "prefer": None, "within": 0.1, **decision}
    for key, value in links.items():
        linked.set_user_attr(key, value)
    for repeat in range(max(map(len, scores.values()))):
        for label, told in scores.items():
            if repeat < len(told):
                add_repeat(
                    linked,
                    {"candidate": -2 if label == "baseline" else swept[label].number, "repeat": repeat},
                    told[repeat],
                    candidate=label,
                    repeat=repeat,
                    seed=100 + repeat,
                    split_seed=200 + repeat,
                    n_parameters=(n_parameters or {}).get(label, 1000),
                    seconds=(seconds or {}).get(label, 10.0),
                )
    return linked


def add_repeat(linked: optuna.Study, params: dict[str, int], score: float | None, **attrs: Any) -> None:
    """Add one repeat of a candidate to a linked study; without a score it failed."""
    told: dict[str, Any] = (
        {} if score is None else {"val_accuracy": score, "train_accuracy": score, "gap": 0.0}
    )
    ce = {} if score is None else {"val_cross_entropy": 1 - score, "train_cross_entropy": 1 - score}
    why = {"fail_reason": "out of memory"} if score is None else {}
    if score is not None:
        curve = LearningCurve.from_scores(train=[score], val=[score])
        told |= {"hyperparameters": {}, "epoch": 0, "curve": curve.to_attribute()}
    trial = optuna.create_trial(
        state=TrialState.FAIL if score is None else TrialState.COMPLETE,
        params=params,
        distributions={"candidate": IntDistribution(-2, 99), "repeat": IntDistribution(0, 99)},
        value=score,
        user_attrs={**attrs, **told, **ce, **why},
    )
    linked.add_trial(trial)


StudyMaker = Callable[..., optuna.Study]

stored = StoredStudy.of
"""Look at a study as it is now; after a change it takes another look."""


def in_memory(make: Callable[[], optuna.Study]) -> Callable[[], optuna.Study]:
    """Return a function that gives a study in memory as ``make`` makes it, which is called once."""

    @functools.cache
    def kept() -> tuple[str, bytes]:
        made = make()
        state = {name: value for name, value in vars(made._storage).items() if name != "_lock"}
        return made.study_name, pickle.dumps(state)

    def copied() -> optuna.Study:
        name, state = kept()
        storage = optuna.storages.InMemoryStorage()
        vars(storage).update(pickle.loads(state))  # noqa: S301 - written above
        return optuna.load_study(study_name=name, storage=storage)

    return copied


@in_memory
def full_study() -> optuna.Study:
    """Return a study in memory with every kind of trial over a conditional space."""
    made = empty_study(None)
    fill_study(made)
    return made


@functools.cache
def _small_file() -> bytes:
    """Return what is in an SQLite file with a small study."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "studies.db"
        storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
        fill_study(empty_study(storage), 6)
        storage.remove_session()
        storage.engine.dispose()
        return path.read_bytes()


@pytest.fixture
def study() -> optuna.Study:
    """A study in memory with every kind of trial over a conditional space."""
    return full_study()


@pytest.fixture
def sqlite_study(tmp_path: Path) -> optuna.Study:
    """A small study in the SQLite file ``studies.db`` of the test's folder."""
    path = tmp_path / "studies.db"
    path.write_bytes(_small_file())
    return optuna.load_study(study_name="dense", storage=f"sqlite:///{path}")


@pytest.fixture
def tiny_study() -> StudyMaker:
    """Make a study in memory whose trials have the given (train, val) accuracies."""

    def make(*curves: tuple[Sequence[float], Sequence[float]], **score: Any) -> optuna.Study:
        made = empty_study(None, "tiny", **score)
        made.set_user_attr("allowed_epochs", None)
        for i, (train, val) in enumerate(curves):
            add_trial(made, params_of(i), LearningCurve.from_scores(train=train, val=val))
        return made

    return make


@pytest.fixture
def confirmed(tiny_study: StudyMaker) -> optuna.Study:
    """A confirmed study; its winner is trial 1, which beats the default."""
    curve = ([0.85, 0.90], [0.84, 0.90])
    made = tiny_study(curve, curve)
    add_confirmation(made, {"trial 1": [0.91, 0.92, 0.93], "default": [0.89, 0.899, 0.91]})
    return made


@pytest.fixture(autouse=True)
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna's log out of the tests' output."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)
