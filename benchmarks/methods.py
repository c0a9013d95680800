"""The methods that race to a score: ours, its alternatives, and what a user would pick."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import optuna

from benchmarks.problems import Problem
from benchmarks.race import Entry, Proposal, Race, race_ours, race_peer
from benchmarks.workload import SWEEPS
from fmnist_sweep.config.loading import load_config
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.jobs import Scalar
from fmnist_sweep.search import samplers

N_TRIALS: Final = 1000
"""More than any race can reach: what ends a race is its clock."""


# --- ours --------------------------------------------------------------------------------------------------


def own_config(
    problem: Problem,
    seed: int,
    *,
    sampler: Mapping[str, Any] | None = None,
    pruner: Mapping[str, Any] | None = None,
    n_trials: int = N_TRIALS,
) -> SweepConfig:
    """Return the sweep file's own settings for a problem, another sampler or pruner in place.

    No method is given the model's default configuration, which is what hand tuning came to.
    """
    file = load_config(SWEEPS[problem.name]).file
    drawn_by = file.sampler.model_dump() if sampler is None else sampler
    return problem.config(
        sampler={**drawn_by, "seed": seed, "enqueue_default": False},
        pruner=file.pruner.model_dump() if pruner is None else dict(pruner),
        training={"patience": file.training.patience},
        budget={"trials": n_trials},
    )


def ours(
    name: str, *, sampler: Mapping[str, Any] | None = None, pruner: Mapping[str, Any] | None = None
) -> Entry:
    """Return our search with the settings that `own_config` gives."""

    def race(problem: Problem, seed: int) -> Race:
        return race_ours(name, problem, own_config(problem, seed, sampler=sampler, pruner=pruner), seed)

    return race


SAMPLERS: Final[Mapping[str, dict[str, Any]]] = {
    "tpe": {"name": "tpe"},
    "tpe, 20 startup trials": {"name": "tpe", "n_startup_trials": 20},
    "tpe, 5 startup trials": {"name": "tpe", "n_startup_trials": 5},
    "random": {"name": "random"},
    "qmc": {"name": "qmc"},
    "gp": {"name": "gp"},
}
PRUNERS: Final[Mapping[str, dict[str, Any]]] = {
    "none": {"name": "none"},
    "median": {"name": "median"},
    "median, 2 startup trials": {"name": "median", "n_startup_trials": 2, "n_warmup_steps": 1},
    "percentile 25": {"name": "percentile", "percentile": 25.0, "n_startup_trials": 4, "n_warmup_steps": 1},
    "successive halving": {"name": "successive_halving", "min_resource": 1, "reduction_factor": 3},
    "successive halving, rungs by 2": {
        "name": "successive_halving",
        "min_resource": 1,
        "reduction_factor": 2,
    },
    "hyperband": {"name": "hyperband", "min_resource": 1, "reduction_factor": 3},
}

_USUAL_PRUNER: Final = "median"


def alternatives() -> dict[str, Entry]:
    """Return the first sampler with every pruner, and every other with the median, to choose the defaults by.

    All pairs would take three times as long, and differ mostly by chance.
    """
    missing = {"gp"} if importlib.util.find_spec("torch") is None else set[str]()
    first, *others = (name for name in SAMPLERS if name not in missing)
    pairs = [(first, pruner) for pruner in PRUNERS] + [(sampler, _USUAL_PRUNER) for sampler in others]
    return {f"{s} / {p}": ours(f"{s} / {p}", sampler=SAMPLERS[s], pruner=PRUNERS[p]) for s, p in pairs}


# --- peers -------------------------------------------------------------------------------------------------


class RandomSearch:
    """Whole trials at random points, side by side."""

    def __init__(self, problem: Problem, seed: int, *, n_workers: int = 2) -> None:
        self.n_workers = n_workers
        self._problem = problem
        self._rng = np.random.default_rng(seed)

    def propose(self, trial: int) -> Proposal:  # noqa: ARG002 - random points don't depend on each other
        """Return a random point."""
        return Proposal(self._problem.space.sample(self._rng), self._problem.epochs)

    def epoch(self, trial: int, epoch: int, score: float) -> bool:  # noqa: ARG002
        """Stop nothing."""
        return False

    def end(self, trial: int, *, stopped: bool) -> None:
        """Learn nothing."""


class HandGrid(RandomSearch):
    """The report's own sequence of changes, one value at a time, each run by itself; then it ends."""

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed, n_workers=1)
        self._runs = list(hand_runs(problem))

    def propose(self, trial: int) -> Proposal | None:  # type: ignore[override]
        """Return the next run of the report."""
        return self._runs[trial] if trial < len(self._runs) else None


def hand_runs(problem: Problem) -> Sequence[Proposal]:
    """Return what the report tried, in its order, each number of epochs as a run of its own.

    Dense: learning rates, then the L2 term, against 13, 15 and 17 epochs; widths; a third layer; activations.
    CNN: kernels, filters, padding and the L2 term at 5 epochs, and the choice again at 10.
    """
    base = dict(problem.defaults)
    if problem.name == "dense":
        long = (13, 15, 17)
        changes: list[tuple[dict[str, Scalar], Sequence[int]]] = [
            ({"learning_rate": 1e-5}, long),
            ({}, long),
            ({"l2": 1e-5}, long),
            ({"units_1": 200, "units_2": 100}, (15,)),
            ({"units_1": 400, "units_2": 300}, (15,)),
            ({"units_1": 500}, (15,)),
            ({"depth": 3, "units_1": 300, "units_2": 300, "units_3": 300}, (15,)),
            ({"activation": "relu"}, (15,)),
            ({"activation": "hard_sigmoid"}, (15,)),
            ({"activation": "tanh"}, (15,)),
        ]
    else:
        smaller: dict[str, Scalar] = {f"kernel_size_{i}": 4 for i in (1, 2, 3)}
        bare: dict[str, Scalar] = {f"padding_{i}": "valid" for i in (1, 2, 3)}
        changes = [
            ({}, (5,)),
            (smaller, (5,)),
            ({"filters_1": 3, "filters_2": 8, "filters_3": 60}, (5,)),
            ({**smaller, **bare}, (5,)),
            ({"learning_rate": 1e-4}, (5,)),
            ({"l2": 1e-4}, (5,)),
            ({"l2": 1e-5}, (5,)),
            ({"l2": 1e-5, "activation": "relu"}, (10,)),
        ]
    return [
        Proposal(problem.space.complete({**base, **change}, base), min(n, problem.epochs))
        for change, lengths in changes
        for n in lengths
    ]


class OptunaDefaults:
    """Optuna as it comes: TPE and the median pruner, one trial after the other."""

    n_workers = 1

    def __init__(self, problem: Problem, seed: int) -> None:
        self._problem = problem
        self._study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
        self._trials: dict[int, tuple[optuna.Trial, float]] = {}

    def propose(self, trial: int) -> Proposal:
        """Ask for a trial."""
        asked = self._study.ask()
        self._trials[trial] = asked, -math.inf
        return Proposal(samplers.draw(asked, self._problem.space), self._problem.epochs)

    def epoch(self, trial: int, epoch: int, score: float) -> bool:
        """Report, and stop what the pruner would."""
        asked, best = self._trials[trial]
        self._trials[trial] = asked, max(best, score)
        asked.report(score, epoch)
        return asked.should_prune()

    def end(self, trial: int, *, stopped: bool) -> None:
        """Tell the best epoch's score, as ours does."""
        asked, best = self._trials.pop(trial)
        state = optuna.trial.TrialState.PRUNED if stopped else optuna.trial.TrialState.COMPLETE
        self._study.tell(asked, None if stopped else best, state=state)


class Asha(RandomSearch):
    """Ray Tune's own ASHA scheduler over its default, random points, two workers.

    The scheduler is Ray's object; what a Tune controller would call is called here, without a cluster.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        from ray.tune.schedulers import AsyncHyperBandScheduler

        self._scheduler: Any = AsyncHyperBandScheduler(
            time_attr="epoch", metric="score", mode="max", max_t=problem.epochs
        )
        self._trials: dict[int, Any] = {}

    def propose(self, trial: int) -> Proposal:
        """Return a random point, and let the scheduler know."""
        self._trials[trial] = SimpleNamespace(trial_id=str(trial))
        self._scheduler.on_trial_add(None, self._trials[trial])
        return super().propose(trial)

    def epoch(self, trial: int, epoch: int, score: float) -> bool:
        """Ask the scheduler."""
        result = {"epoch": epoch + 1, "score": score}
        # What ends with its last epoch is not stopped.
        decided = self._scheduler.on_trial_result(None, self._trials[trial], result)
        return bool(decided == "STOP" and epoch + 1 < self._problem.epochs)


def peer(name: str, make: Callable[[Problem, int], Any], *, slowness: float = 1.0) -> Entry:
    """Return a peer as a method."""
    return lambda problem, seed: race_peer(name, problem, make(problem, seed), seed, slowness=slowness)
