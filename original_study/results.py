"""What the experiments' studies hold: one number for each seed of whatever a claim asks about."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np

from fmnist_sweep.analysis.statistics import Interval, interval
from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.jobs import Scalar
from fmnist_sweep.storage.stored import StoredStudy
from original_study.experiments import NAMES, ON_OWN_SPLIT

BySeed: TypeAlias = Mapping[int, float]
"""A number for each seed, by its number."""

LAST_EPOCHS: Final = 5
"""The epochs over which an accuracy may swing."""

_RUNNING: Final = "running_accuracy"


@dataclass(frozen=True)
class Run:
    """A configuration of an experiment.

    Attributes:
        experiment: Name of the experiment.
        label: What figures and tables call it.
        at: Hyperparameters that tell it from the others of the experiment.
    """

    experiment: str
    label: str
    at: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def own_split(self) -> bool:
        """Whether its seeds share the report's split."""
        return self.experiment in ON_OWN_SPLIT


@dataclass(frozen=True)
class Best(Run):
    """The best of some runs, seed by seed; where a run lacks a seed, so does this.

    Attributes:
        runs: The runs, on equal splits.
    """

    runs: tuple[Run, ...] = ()


@dataclass(frozen=True)
class Value:
    """A number that each seed of a run gives.

    Attributes:
        run: The run.
        what: A name of `LearningCurve.values`; ``"gap"``, train less validation accuracy; ``"swing"``, the
            range of the validation accuracy over the last `LAST_EPOCHS` epochs; ``"log_seconds"``, of the
            median epoch; of a final model ``"test_accuracy"`` and ``"shirts_ahead"``, see `shirts_ahead`.
        epochs: After so many epochs; None for the last one.
    """

    run: Run
    what: str
    epochs: int | None = None

    @property
    def takes_train_accuracy(self) -> bool:
        """Whether it matters how the training accuracy is measured."""
        return self.what == "gap"


@dataclass(frozen=True)
class Results:
    """The studies of the experiments. Make one with `read_results`.

    Attributes:
        studies: By the experiment's name; those that there are.
    """

    studies: Mapping[str, StoredStudy]

    @cached_property
    def _curves(self) -> Mapping[str, Sequence[tuple[int, Mapping[str, Scalar], LearningCurve]]]:
        found = {}
        for name, study in self.studies.items():
            found[name] = [
                (t.repeat, t.hyperparameters, t.curve)
                for t in study.in_state("COMPLETE")
                if t.repeat is not None and t.curve is not None
            ]
        return found

    def curves(self, run: Run) -> dict[int, LearningCurve]:
        """Return the learning curve of each seed of a run, by its number."""
        rows = self._curves.get(run.experiment, ())
        found = {r: curve for r, values, curve in rows if _is_at(values, run.at)}
        return dict(sorted(found.items()))

    def values(self, value: Value, *, running: bool = False) -> BySeed:
        """Return a number for each seed.

        Args:
            value: What is asked for.
            running: Take Keras's running mean for the training accuracy; seeds without one are left out.
        """
        if isinstance(value.run, Best):
            columns = [self.values(replace(value, run=run), running=running) for run in value.run.runs]
            seeds = set.intersection(*map(set, columns))
            return {seed: max(column[seed] for column in columns) for seed in sorted(seeds)}
        if value.what in _OF_TEST:
            return {i: _OF_TEST[value.what](row) for i, row in enumerate(self.tested(value.run.experiment))}
        train = _RUNNING if running else "train_accuracy"
        of = _OF_CURVE.get(value.what)
        found = {}
        for repeat, curve in self.curves(value.run).items():
            if value.epochs is not None and len(curve) < value.epochs:
                continue
            part = LearningCurve(curve.epochs[: value.epochs])
            if value.takes_train_accuracy and not part.epochs[-1].running and running:
                continue
            found[repeat] = float(part.values(value.what)[-1]) if of is None else of(part, train)
        return found

    def tested(self, experiment: str) -> Sequence[Mapping[str, Any]]:
        """Return what the test set said of each exported seed of a final model, empty before it was read."""
        study = self.studies.get(experiment)
        return () if study is None else study.paper_test or ()

    def sizes(self, run: Run) -> tuple[int, int]:
        """Return what the interval of a run's values needs to know: images that validate, and that train.

        Seeds on one and the same split share no images by chance: there is nothing to correct for.
        """
        study = self.studies.get(run.experiment)
        if run.own_split or study is None:
            return 0, 1
        training = study.config["training"]
        n_train = training["train_size"] or study.data["n_train"] - training["n_val"]
        return training["n_val"], n_train

    def mean(self, value: Value) -> Interval | None:
        """Return the mean of a number over the seeds with its interval; None without one."""
        numbers = list(self.values(value).values())
        n_val, n_train = self.sizes(value.run)
        return interval(numbers, n_val=n_val, n_train=n_train) if numbers else None

    @property
    def n_failed(self) -> int:
        """Trainings that failed and were not made up for, in all experiments."""
        return sum(map(_n_failed, self.studies.values()))


def read_results(studies: Mapping[str, StoredStudy], *, prefix: str) -> Results:
    """Return the results that studies hold.

    Args:
        studies: By name.
        prefix: What the names of the experiments' studies begin with.
    """
    return Results({name: studies[prefix + name] for name in NAMES if prefix + name in studies})


def _n_failed(study: StoredStudy) -> int:
    done = [t.params for t in study.in_state("COMPLETE")]
    return sum(t.params not in done for t in study.in_state("FAIL"))


def _is_at(values: Mapping[str, Scalar], at: Mapping[str, Scalar]) -> bool:
    return all(values.get(name) == value for name, value in at.items())


def _gap(curve: LearningCurve, train: str) -> float:
    return float(curve.values(train)[-1] - curve.values("val_accuracy")[-1])


def _swing(curve: LearningCurve, train: str) -> float:  # noqa: ARG001 - as all of these
    return float(np.ptp(curve.values("val_accuracy")[-LAST_EPOCHS:]))


def _log_seconds(curve: LearningCurve, train: str) -> float:  # noqa: ARG001
    return math.log(max(1e-3, float(np.median(curve.values("seconds")))))


_OF_CURVE: Final[Mapping[str, Callable[[LearningCurve, str], float]]] = {
    "gap": _gap,
    "swing": _swing,
    "log_seconds": _log_seconds,
}

PULLOVER: Final = 2
SHIRT: Final = 6


def shirts_ahead(confusion: Sequence[Sequence[int]]) -> float:
    """Return by how much shirt and pullover are confused more often than any other two classes.

    Args:
        confusion: Counts, actual classes in rows.

    Returns:
        Images of either class taken for the other, less those of the most confused other pair, as a share of
        the images of two classes; negative where another pair leads.

    Example:
        >>> counts = np.zeros((10, 10), int)
        >>> counts[6, 2], counts[2, 6], counts[0, 6], counts[9, 9] = 30, 20, 40, 1910
        >>> shirts_ahead(counts.tolist())
        0.025
    """
    counts = np.array(confusion)
    pairs = np.triu(counts + counts.T, 1)
    shirts = int(pairs[PULLOVER, SHIRT])
    pairs[PULLOVER, SHIRT] = 0
    return float((shirts - int(pairs.max())) / (2 * counts.sum() / len(counts)))


_OF_TEST: Final[Mapping[str, Callable[[Mapping[str, Any]], float]]] = {
    "test_accuracy": lambda row: float(row["test_accuracy"]),
    "shirts_ahead": lambda row: shirts_ahead(row["confusion"]),
}
