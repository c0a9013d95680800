"""A storage with one study of many finished trials, as a long sweep leaves it."""

from __future__ import annotations

import numpy as np
import optuna

from benchmarks.race import DATA
from benchmarks.workload import fixed_config
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.jobs import DataRef, TrialJob
from fmnist_sweep.search import samplers
from fmnist_sweep.search.opening import open_study
from fmnist_sweep.storage.bulk_writes import add_trials
from fmnist_sweep.storage.opening import open_storage
from fmnist_sweep.training.testing import scripted_curve


def make_storage(
    url: str, n_trials: int, *, n_epochs: int, sweep: SweepConfig | None = None, data: DataRef = DATA
) -> None:
    """Store finished trials of random dense configurations, each with its whole curve.

    Args:
        url: The storage, which is made.
        n_trials: How many.
        n_epochs: Of each curve.
        sweep: Whose study it is; None takes the dense sweep without patience.
        data: The data set that the study names.
    """
    if sweep is None:
        sweep = fixed_config(
            "dense", budget={"trials": n_trials}, sampler={"name": "tpe", "enqueue_default": False}
        )
    study = open_study(sweep, data, open_storage(url, create=True))
    rng = np.random.default_rng(0)
    trials = []
    for number in range(n_trials):
        point = sweep.sampled_space.sample(rng)
        params = {name: point[name] for name in sweep.sampled_space.searched if name in point}
        made = {"accuracy_peak": rng.uniform(0.8, 0.9), "overfit_rate": rng.uniform(0, 0.01)}
        curve = scripted_curve(TrialJob(number, "dense", made, n_epochs, number, DATA))
        scored = sweep.score_rule.scored(curve)
        epoch = int(scored["epoch"])
        trials.append(
            optuna.create_trial(
                value=sweep.score_rule.score(curve.epochs[epoch]),
                params=params,
                distributions={name: samplers.distribution_of(sweep.space[name]) for name in params},
                user_attrs={
                    **scored,
                    "hyperparameters": point,
                    "curve": curve.to_attribute(),
                    "n_epochs": n_epochs,
                    "n_parameters": 1000,
                    "seconds": 1.0,
                },
                intermediate_values=dict(enumerate(sweep.score_rule.scores(curve).tolist())),
            )
        )
    add_trials(study, trials)
