from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from unittest import mock

import hypothesis.strategies as st
import numpy as np
import optuna
import pytest
from hypothesis import given
from optuna.samplers._tpe import _truncnorm, probability_distributions
from optuna.trial import FrozenTrial, TrialState

from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.search import tpe
from fmnist_sweep.search.plan import SweepPlan
from fmnist_sweep.search.tpe import N_BEST, RUNNING_PER_DRAW, Pictures, RecentTPESampler, seen_trials

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


@given(st.lists(st.tuples(STATES, st.floats(-1, 1)), max_size=150), st.integers(50, 100), st.integers(2, 40))
def test_the_best_and_enough_of_the_others_are_seen(
    rows: list[tuple[TrialState, float]], most: int, most_running: int
) -> None:
    """None beyond the limits is seen, no better one is left out, and the order stays."""
    trials = [made(number, *row) for number, row in enumerate(rows)]
    with mock.patch.object(tpe, "MAX_RUNNING", most_running):
        seen = seen_trials(trials, most)
    numbers = [t.number for t in seen]
    assert numbers == sorted(set(numbers))
    finished = [t for t in seen if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    everything = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    assert len(finished) == min(most, len(everything))
    assert {t.number for t in trials if t.state is TrialState.WAITING} <= set(numbers)
    running, of = ([t for t in some if t.state is TrialState.RUNNING] for some in (seen, trials))
    assert len(running) == min(most_running, len(of))
    assert (running[:1], running[-1:]) == (of[:1], of[-1:])
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


def beside(n_running: int) -> optuna.Study:
    """Return a study of 60 finished trials and so many running ones, the last without its point."""
    study = study_of(60)
    for n in range(n_running - 1):
        study.add_trial(
            optuna.create_trial(
                state=TrialState.RUNNING, params={"units": 1 + n % 1000}, distributions={"units": LOG}
            )
        )
    study.ask()
    return study


def points(study: optuna.Study, n: int, pictures: Pictures | None) -> list[int]:
    """Draw as the last trial of a study that stays the same, by a sampler for each seed."""
    found, trial = [], study._storage.get_all_trials(study._study_id)[-1]
    for seed in range(n):
        sampler = RecentTPESampler(max_observations=400, seed=seed, pictures=pictures, **SETTINGS)
        space = sampler.infer_relative_search_space(study, trial)
        found.append(sampler.sample_relative(study, trial, space)["units"])
    return found


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_beside_few_running_trials_each_draw_is_made_for_itself() -> None:
    """Up to the limit they are those of Optuna's own sampler."""
    study = beside(2 * RUNNING_PER_DRAW - 1)
    ours = points(study, 4, Pictures())
    assert ours == points(study, 4, None)
    trial = study.get_trials(deepcopy=False)[-1]
    for seed, drawn_by_us in enumerate(ours):
        sampler = optuna.samplers.TPESampler(seed=seed, **SETTINGS)
        space = sampler.infer_relative_search_space(study, trial)
        assert sampler.sample_relative(study, trial, space) == {"units": drawn_by_us}


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_beside_many_running_trials_some_are_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The study is read once for them; the first is what its seed draws alone, and the others differ."""
    monkeypatch.setattr(tpe, "RUNNING_PER_DRAW", 20)
    study = beside(80)
    with mock.patch.object(study, "get_trials", wraps=study.get_trials) as read:
        ours = points(study, 8, Pictures())
        assert read.call_count == 2
    alone = points(study, 8, None)
    assert (ours[0], ours[4]) == (alone[0], alone[4])
    assert len(set(ours)) > 4
    assert sum(100 <= units <= 900 for units in ours) >= 6
    monkeypatch.setattr(tpe, "MAX_AT_ONCE", 2)
    with mock.patch.object(study, "get_trials", wraps=study.get_trials) as read:
        points(study, 8, Pictures())
        assert read.call_count == 4


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_point_that_cannot_be_used_is_avoided_by_its_own_trial_alone() -> None:
    """Whoever shares the picture gets what was drawn ahead."""
    pictures, study = Pictures(), beside(2 * RUNNING_PER_DRAW)
    first, second = (
        RecentTPESampler(max_observations=400, seed=s, pictures=pictures, **SETTINGS) for s in range(2)
    )
    trial = study.get_trials(deepcopy=False)[-1]

    def draw(sampler: RecentTPESampler) -> dict[str, Any]:
        return sampler.sample_relative(study, trial, sampler.infer_relative_search_space(study, trial))

    refused = draw(first)
    first.avoid(refused, {"units": LOG})
    draw(first)
    assert draw(second)["units"] == points(study, 2, Pictures())[1]


def test_the_trials_of_a_sweep_share_their_pictures(
    make_config: Callable[..., SweepConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its plan gives each trial a sampler of its own."""
    monkeypatch.setattr(tpe, "RUNNING_PER_DRAW", 20)
    plan, study = SweepPlan(make_config(sampler={"name": "tpe"})), beside(80)
    trial = study.get_trials(deepcopy=False)[-1]
    with mock.patch.object(study, "get_trials", wraps=study.get_trials) as read:
        for number in range(8):
            plan.sampler(number).infer_relative_search_space(study, trial)
        assert read.call_count == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_large_study_is_drawn_from_where_its_best_are() -> None:
    """Beyond the limit the draws still crowd around the best trials; equal seeds draw equally."""
    study = study_of(1000)
    draws = [drawn(RecentTPESampler(seed=s, max_observations=300, **SETTINGS), study) for s in range(20)]
    assert sum(200 <= units <= 450 for units in draws) >= 18
    again = [drawn(RecentTPESampler(seed=s, max_observations=300, **SETTINGS), study) for s in range(20)]
    assert again == draws
