from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
from every_sampler import SAMPLERS
from optuna.trial import TrialState

from fmnist_sweep.config.schema import TPESection
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.progress import Progress, Stop
from fmnist_sweep.core.space import ChoiceParameter, FixedParameter, FloatParameter, IntParameter, SearchSpace
from fmnist_sweep.search import pruners
from fmnist_sweep.search import samplers as sampling

MakeConfig = Callable[..., SweepConfig]
Sweep = Callable[..., tuple[Stop, optuna.Study]]

PRUNERS = ["none", "median", "percentile", "successive_halving", "hyperband", "patient"]
FINITE: dict[str, Any] = {
    "activation": {"choices": ["relu", "tanh", "elu"]},
    "depth": {"low": 1, "high": 2},
    "units_2": {"type": "int", "low": 10, "high": 20, "step": 5, "when": {"depth": [2]}},
    "epochs": 6,
}


@pytest.mark.parametrize("pruner", PRUNERS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_runs_with_every_pruner(
    make_config: MakeConfig, sweep: Sweep, sampler: str, pruner: str
) -> None:
    """A dozen trials end well, and every drawn point is a point of the space."""
    space = FINITE if sampler == "grid" else {**FINITE, "learning_rate": {}, "dropout": {}}
    config = make_config(
        space=space,
        sampler={"name": sampler},
        pruner={"name": pruner},
        budget={"trials": 12},
    )
    stop, study = sweep(config)
    assert stop is Stop.TRIALS
    assert len(study.trials) == 12
    for trial in study.trials:
        assert trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
        assert config.sampled_space.contains(trial.user_attrs["hyperparameters"])


@pytest.mark.parametrize("pruner", PRUNERS)
def test_a_pruner_is_built_with_its_settings(make_config: MakeConfig, pruner: str) -> None:
    """The pruner's kind is the one that is named."""
    built = pruners.build_pruner(make_config(pruner={"name": pruner}).file.pruner, max_epochs=9)
    kinds = {"none": "NopPruner", "successive_halving": "SuccessiveHalvingPruner"}
    assert type(built).__name__ == kinds.get(pruner, f"{pruner.title()}Pruner")


def first_draw(seed: int, trial: int) -> dict[str, Any]:
    """Draw a point as the trial of that number."""
    space = SearchSpace({"x": FloatParameter(low=0.0, high=1.0), "n": IntParameter(low=1, high=10_000)})
    study = optuna.create_study(sampler=sampling.build_sampler(TPESection(seed=seed), trial=trial))
    return sampling.draw(study.ask(), space)


def test_a_draw_is_decided_by_seed_and_trial_number() -> None:
    """The same seed and trial number draw the same point; another of either draws another."""
    assert first_draw(0, 3) == first_draw(0, 3)
    assert len({str(first_draw(*key)) for key in ((0, 3), (1, 3), (0, 4), (3, 0))}) == 4


def history(study: optuna.Study) -> list[tuple[Any, ...]]:
    """What a sweep found, without the times."""
    return [
        (t.number, t.state, t.params, t.value, t.intermediate_values, t.user_attrs["curve"])
        for t in study.trials
    ]


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "cmaes"])
def test_a_resumed_sweep_equals_an_uninterrupted_one(
    make_config: MakeConfig, sweep: Sweep, sampler: str
) -> None:
    """Stopping after some trials, in the middle of one, and going on changes nothing of any trial."""

    def config(trials: int) -> SweepConfig:
        return make_config(
            space={"learning_rate": {}, "depth": {"high": 3}, "units_2": {}, "units_3": {}, "epochs": 4},
            sampler={"name": sampler, **({"n_startup_trials": 4} if sampler == "tpe" else {})},
            pruner={"name": "median", "n_startup_trials": 3, "n_warmup_steps": 1},
            budget={"trials": trials},
        )

    whole = optuna.storages.InMemoryStorage()
    _, uninterrupted = sweep(config(14), storage=whole)

    in_parts = optuna.storages.InMemoryStorage()
    sweep(config(5), storage=in_parts)
    pulled = threading.Event()

    def pull(progress: Progress) -> None:
        if progress.n_done == 8 and progress.running and progress.running[0].n_epochs == 2:
            pulled.set()

    stop, _ = sweep(config(14), storage=in_parts, interrupted=pulled, observer=pull)
    assert stop is Stop.INTERRUPTED
    stop, resumed = sweep(config(14), storage=in_parts)
    assert stop is Stop.TRIALS
    assert history(resumed) == history(uninterrupted)


def test_a_trial_whose_draw_was_cut_short_is_taken_up(
    make_config: MakeConfig,
    sweep: Sweep,
    memory: optuna.storages.InMemoryStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A sweep that dies between two parameters of a trial leaves none RUNNING, and completes it later."""
    config = make_config(space={"learning_rate": {}, "dropout": {}, "l2": {}, "epochs": 2})
    suggest, n_left = sampling._suggest, 7

    def dies(*args: Any) -> Any:
        nonlocal n_left
        n_left -= 1
        if n_left < 0:
            raise KeyboardInterrupt
        return suggest(*args)

    with monkeypatch.context() as patch:
        patch.setattr(sampling, "_suggest", dies)
        with pytest.raises(KeyboardInterrupt):
            sweep(config)
    study = optuna.load_study(study_name="tiny", storage=memory)
    assert [t.state.name for t in study.trials] == ["COMPLETE", "COMPLETE", "WAITING"]
    before = study.trials[2].params
    _, resumed = sweep(config)
    assert [t.state.name for t in resumed.trials] == ["COMPLETE"] * 5
    assert before.items() < resumed.trials[2].params.items()


def test_grid_visits_each_point_once(make_config: MakeConfig, sweep: Sweep) -> None:
    """The grid ends by itself once every point has been trained, and repeats none."""
    config = make_config(space=FINITE, sampler={"name": "grid"}, budget={"trials": 100})
    stop, study = sweep(config)
    assert stop is Stop.SPACE
    # Three activations, each with depth 1, or with depth 2 and one of three widths.
    points = [tuple(sorted(t.params.items())) for t in study.trials]
    assert len(points) == len(set(points)) == config.sampled_space.size == 12


def test_listed_points_are_tried_in_their_order(make_config: MakeConfig, sweep: Sweep) -> None:
    """A sweep of listed points trains these and no others, each once, and goes on where it stopped."""
    points = [{"activation": "tanh", "depth": 1}, {"activation": "relu", "depth": 2, "units_2": 30}]
    space = {"activation": {"choices": ["relu", "tanh"]}, "depth": {"low": 1, "high": 2}}
    config = make_config(
        space={**space, "units_2": {}, "epochs": 3},
        sampler={"name": "points", "points": points},
        budget={"trials": 100},
    )
    stop, study = sweep(config)
    assert stop is Stop.SPACE
    assert [t.params for t in study.trials] == points
    assert [
        {name: point[name] for name in given} for given, point in zip(points, config.points, strict=True)
    ] == points
    assert "default_trial" not in study.user_attrs


def test_the_points_of_a_finite_space_are_all_of_it(make_config: MakeConfig) -> None:
    """As many as its size, no two alike, each of them in the space."""
    space = make_config(space=FINITE).sampled_space
    points = list(space.points())
    assert len({tuple(sorted(p.items(), key=str)) for p in points}) == len(points) == space.size
    assert all(space.contains(point) for point in points)


def test_grid_counts_epochs_under_the_rule_last(make_config: MakeConfig, sweep: Sweep) -> None:
    """Where the number of epochs is sampled, it is a dimension of the grid."""
    config = make_config(
        space={"activation": {"choices": ["relu", "elu"]}, "epochs": {"low": 1, "high": 3}},
        score={"epoch_rule": "last"},
        sampler={"name": "grid"},
        budget={"trials": 100},
    )
    stop, study = sweep(config)
    assert stop is Stop.SPACE
    assert {(t.params["activation"], t.params["epochs"]) for t in study.trials} == {
        (activation, epochs) for activation in ("relu", "elu") for epochs in (1, 2, 3)
    }
    assert len(study.trials) == 6


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        (FloatParameter(low=0.0, high=1.0, step=0.3), {0.0, 0.3, 0.6, 0.9}),
        (IntParameter(low=1, high=10, step=4), {1, 5, 9}),
        (FloatParameter(low=0.1, high=0.3, step=0.1), {0.1, 0.2, 0.3}),
    ],
)
def test_a_range_that_is_no_multiple_of_its_step_ends_early(
    parameter: FloatParameter | IntParameter, values: set[float]
) -> None:
    """The last value is the last whole step, every value is drawn, and Optuna has nothing to warn of."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space = SearchSpace({"x": parameter})
    drawn = [sampling.draw(study.ask(), space)["x"] for _ in range(60)]
    assert {round(float(x), 9) for x in drawn} == values
    assert all(parameter.contains(x) for x in drawn)


def test_what_has_one_value_is_no_parameter_of_the_trial() -> None:
    """Fixed and single-valued parameters are in the point, and not in Optuna's params."""
    space = SearchSpace(
        {
            "fixed": FixedParameter(value="a"),
            "one_choice": ChoiceParameter(choices=(True,)),
            "one_int": IntParameter(low=3, high=3),
            "one_float": FloatParameter(low=0.5, high=0.5),
            "one_step": FloatParameter(low=0.5, high=0.6, step=0.5),
            "free": IntParameter(low=1, high=2),
        }
    )
    trial = optuna.create_study().ask()
    point = sampling.draw(trial, space)
    assert set(trial.params) == {"free"}
    assert {k: v for k, v in point.items() if k != "free"} == {
        "fixed": "a", "one_choice": True, "one_int": 3, "one_float": 0.5, "one_step": 0.5,
    }  # fmt: skip


def test_a_log_range_is_drawn_on_a_log_scale() -> None:
    """Each decade of a log range is drawn about as often as the others."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space = SearchSpace({"x": FloatParameter(low=1e-4, high=1.0, log=True)})
    drawn = [float(sampling.draw(study.ask(), space)["x"]) for _ in range(400)]
    decades = np.bincount(np.floor(np.log10(drawn)).astype(int) + 4, minlength=4)
    assert decades.min() > 70
