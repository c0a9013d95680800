from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import optuna
import pytest
from hypothesis import given
from optuna.samplers._tpe import _truncnorm, probability_distributions
from optuna.trial import FrozenTrial, TrialState

from fmnist_sweep.search import tpe
from fmnist_sweep.search.tpe import N_BEST, RecentTPESampler, seen_trials

STATES = st.sampled_from(TrialState)
LOG = optuna.distributions.IntDistribution(1, 1000, log=True)


def made(number: int, state: TrialState, value: float) -> FrozenTrial:
    """Return a trial of one parameter."""
    scored = state in (TrialState.COMPLETE, TrialState.PRUNED)
    trial = optuna.create_trial(
        state=state,
        value=value if scored else None,
        params={"units": 1 + number % 1000} if state.is_finished() else {},
        distributions={"units": LOG} if state.is_finished() else {},
    )
    trial.number = number
    return trial


@given(st.lists(st.tuples(STATES, st.floats(-1, 1)), max_size=150), st.integers(50, 100))
def test_the_best_and_the_unfinished_are_always_seen(rows: list[tuple[TrialState, float]], most: int) -> None:
    """No finished trial beyond the limit is seen, no better one is left out, and the order stays."""
    trials = [made(number, *row) for number, row in enumerate(rows)]
    seen = seen_trials(trials, most)
    numbers = [t.number for t in seen]
    assert numbers == sorted(set(numbers))
    finished = [t for t in seen if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    everything = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    assert len(finished) == min(most, len(everything))
    assert {t.number for t in trials if not t.state.is_finished()} <= set(numbers)
    values = sorted((t.values[0] for t in everything if t.state is TrialState.COMPLETE), reverse=True)
    seen_values = sorted((t.values[0] for t in finished if t.state is TrialState.COMPLETE), reverse=True)
    assert seen_values[:N_BEST] == values[:N_BEST]


def study_of(n_trials: int) -> optuna.Study:
    """Return a study of trials spread over the log scale, the best of which have about 300 units."""
    study = optuna.create_study(direction="maximize")
    scale = [round(1000 ** (i * 7919 % 1000 / 999)) for i in range(n_trials)]
    trials = [made(units - 1, TrialState.COMPLETE, -abs(math.log(units / 300))) for units in scale]
    study.add_trials(trials)
    return study


def drawn(sampler: optuna.samplers.BaseSampler, study: optuna.Study) -> int:
    """Draw the next trial, and leave the study as it was."""
    study.sampler = sampler
    trial = study.ask()
    units = trial.suggest_int("units", 1, 1000, log=True)
    study.tell(trial, state=TrialState.FAIL)
    return units


SETTINGS: dict[str, Any] = {
    "n_startup_trials": 10,
    "multivariate": True,
    "group": True,
    "constant_liar": True,
}


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_small_study_is_drawn_from_as_by_optuna() -> None:
    """Up to the limit the draws are those of Optuna's own sampler."""
    study = study_of(60)
    for seed in range(5):
        ours = drawn(RecentTPESampler(seed=seed, max_observations=60, **SETTINGS), study)
        assert ours == drawn(optuna.samplers.TPESampler(seed=seed, **SETTINGS), study)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_candidates_are_weighed_as_by_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what stands in for Optuna's functions, which are put back: the same points are drawn."""
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1))
    for n in range(60):
        asked = study.ask()
        rate, depth = asked.suggest_float("rate", 1e-5, 1e-1, log=True), asked.suggest_int("depth", 1, 9)
        asked.suggest_int("units", 8, 512, log=True)
        if n < 40:
            study.tell(asked, depth - abs(math.log(rate) + 6))

    trial = study._storage.get_trial(study.ask()._trial_id)

    def draws() -> list[dict[str, Any]]:
        found = []
        for seed in range(10):
            sampler = RecentTPESampler(max_observations=400, seed=seed, **SETTINGS)
            space = sampler.infer_relative_search_space(study, trial)
            found.append(sampler.sample_relative(study, trial, space))
        return found

    before = dict(vars(_truncnorm)), dict(vars(probability_distributions))
    fast = draws()
    assert (dict(vars(_truncnorm)), dict(vars(probability_distributions))) == before
    monkeypatch.setattr(tpe, "_MASSES", ())
    assert draws() == fast
    assert len({str(found) for found in fast}) == 10


@given(st.floats(-40, 40), st.floats(1e-3, 80))
def test_masses_are_those_of_optuna(low: float, width: float) -> None:
    """On both sides and across the middle, and far out."""
    a = np.array([low, -low - width, -width / 2])
    assert tpe._log_mass(a, a + width) == pytest.approx(_truncnorm._log_gauss_mass(a, a + width), rel=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_large_study_is_drawn_from_where_its_best_are() -> None:
    """Beyond the limit the draws still crowd around the best trials; equal seeds draw equally."""
    study = study_of(1000)
    draws = [drawn(RecentTPESampler(seed=s, max_observations=300, **SETTINGS), study) for s in range(20)]
    assert sum(200 <= units <= 450 for units in draws) >= 18
    again = [drawn(RecentTPESampler(seed=s, max_observations=300, **SETTINGS), study) for s in range(20)]
    assert again == draws
