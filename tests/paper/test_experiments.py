"""Which trainings the paper asks for, and that none is done twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import optuna
import pytest
from made_paper import SWEEPS, TINY, made_curve
from optuna.trial import TrialState

from fmnist_sweep.config.loading import load_config
from fmnist_sweep.core.errors import ConfigError, StudyMismatchError
from fmnist_sweep.core.jobs import DataRef, TrialJob
from original_study.claims import CLAIMS
from original_study.experiments import FINALS, FULL, NAMES, QUICK, REPEAT, Experiment, Scale, experiments
from original_study.results import Best, Run
from original_study.workload import workload

Runner = Callable[..., optuna.Study]
Wanted = dict[str, Experiment]


def runs() -> list[Run]:
    """All configurations that a claim or its figure names."""
    effects = [e for c in CLAIMS for p in c.parts for e in (p.effect, p.than) if e is not None]
    found = [value.run for effect in effects for _, value in effect.terms]
    found += [run for claim in CLAIMS for shown in claim.shown for run in shown.runs]
    return [one for run in found for one in (run.runs if isinstance(run, Best) else (run,))]


def test_every_sweep_file_is_an_experiment() -> None:
    """The folder holds what runs, and nothing else."""
    assert sorted(path.stem for path in SWEEPS.glob("*")) == sorted(NAMES)
    assert set(FINALS) < set(NAMES)


@pytest.mark.parametrize("run", runs(), ids=lambda run: f"{run.experiment}: {run.label}")
def test_every_run_of_a_claim_is_one_point(run: Run, wanted: Wanted) -> None:
    """What a claim names is trained, and only one configuration answers to it."""
    points = wanted[run.experiment].swept.points
    assert sum(all(point.get(n) == v for n, v in run.at.items()) for point in points) == 1


def test_epochs_that_claims_read_are_trained(wanted: Wanted) -> None:
    """No claim asks for a later epoch than its experiment has."""
    for claim in CLAIMS:
        for part in claim.parts:
            for effect in (part.effect, *(() if part.than is None else (part.than,))):
                for _, value in effect.terms:
                    assert (value.epochs or 1) <= wanted[value.run.experiment].swept.epochs[-1]


def test_the_final_models_are_the_reports(wanted: Wanted) -> None:
    """Whatever defaults become, the paper trains the report's two models for as long as it did."""
    dense, cnn = (wanted[name].swept.points[0] for name in FINALS)
    assert dense.items() >= {
        "learning_rate": 1e-4, "l2": 1e-4, "activation": "relu", "optimizer": "adam", "batch_size": 32,
        "depth": 2, "units_1": 300, "units_2": 200, "epochs": 15,
    }.items()  # fmt: skip
    assert cnn.items() >= {
        "learning_rate": 1e-3, "l2": 1e-5, "activation": "relu", "optimizer": "adam", "batch_size": 32,
        "filters_1": 6, "filters_2": 16, "filters_3": 120, "kernel_size_1": 5, "padding_1": "same",
        "padding_2": "valid", "padding_3": "valid", "pooling": "average", "dense_units": 84, "epochs": 10,
    }.items()  # fmt: skip


def test_points_are_paired_over_seeds(wanted: Wanted, run: Runner, memory: Any) -> None:
    """Every point of a reshuffled experiment sees the same seeds, each with its own split."""
    jobs: list[TrialJob] = []
    run(wanted["dense-activation"], memory, jobs=jobs)
    drawn = {(j.seed, j.split.seed) for j in jobs}
    assert len(drawn) == 3 == len({split for _, split in drawn})
    for activation in ("relu", "tanh", "hard_sigmoid"):
        one = [j for j in jobs if j.hyperparameters["activation"] == activation]
        assert {(j.seed, j.split.seed) for j in one} == drawn
    assert all(j.running_metrics for j in jobs)


def test_final_models_stay_on_the_reports_split(wanted: Wanted, run: Runner, memory: Any) -> None:
    """Their seeds differ and their images don't: the first ones validate."""
    jobs: list[TrialJob] = []
    run(wanted["dense-final"], memory, jobs=jobs)
    assert len({j.seed for j in jobs}) == 3
    assert {j.split.seed for j in jobs} == {None}


def test_what_experiments_share_is_trained_once(wanted: Wanted, run: Runner, memory: Any) -> None:
    """An equal configuration, seed and split comes from the study that had it, cut to its epochs."""
    run(wanted["dense-rate-and-l2"], memory)
    jobs: list[TrialJob] = []
    study = run(wanted["dense-activation"], memory, jobs=jobs)
    assert {j.hyperparameters["activation"] for j in jobs} == {"tanh", "hard_sigmoid"}
    relu = [t for t in study.trials if t.params["activation"] == "relu"]
    assert [t.params[REPEAT] for t in relu] == [0, 1, 2]
    assert all(t.user_attrs["imported_from"]["study"] == "tiny-dense-rate-and-l2" for t in relu)
    assert {t.user_attrs["n_epochs"] for t in study.trials} == {15}
    others = {t.params[REPEAT]: t for t in study.trials if t.params["activation"] == "tanh"}
    for trial in relu:
        twin = others[trial.params[REPEAT]].user_attrs
        assert (trial.user_attrs["seed"], trial.user_attrs["split_seed"]) == (
            twin["seed"],
            twin["split_seed"],
        )


def test_the_workload_is_what_runs(wanted: Wanted, run: Runner, memory: Any) -> None:
    """The number that is announced is the number of trainings, and nothing is left behind them."""
    chosen = list(wanted.values())
    announced = {row.experiment: row for row in workload(chosen, {})}
    studies = {}
    for experiment in chosen:
        jobs: list[TrialJob] = []
        studies[experiment.study_name] = run(experiment, memory, jobs=jobs)
        row = announced[experiment.name]
        assert (len(jobs), sum(j.epochs for j in jobs)) == (row.n_trainings, row.n_epochs)
        assert row.n_trainings + row.n_shared == len(experiment.wanted)
    assert all(row.n_trainings == row.n_shared == 0 for row in workload(chosen, studies))


def test_a_paper_goes_on_where_it_stopped(wanted: Wanted, run: Runner, sqlite_storage: Any) -> None:
    """Interrupted in the middle, the same call trains the rest, and the study holds each trial once."""
    experiment, stop = wanted["dense-width"], threading.Event()

    def curve(job: TrialJob) -> Any:
        if job.trial == 4:
            stop.set()
        return made_curve(job)

    run(experiment, sqlite_storage, curve, interrupted=stop)
    study = run(experiment, sqlite_storage)
    complete = [t.params for t in study.trials if t.state is TrialState.COMPLETE]
    assert len(complete) == len(experiment.wanted)
    assert all(params in complete for params in experiment.wanted)


def test_more_seeds_add_to_what_is_there(wanted: Wanted, run: Runner, memory: Any) -> None:
    """A larger scale of the same name keeps the trainings that a smaller one had."""
    small = wanted["dense-depth"]
    run(small, memory)
    jobs: list[TrialJob] = []
    study = run(replace(small, scale=replace(TINY, n_repeats=5)), memory, jobs=jobs)
    assert len(jobs) == 2 * 3
    assert len(study.trials) == 5 * 3


def test_a_sweep_of_the_same_name_is_not_taken_for_an_experiment(
    wanted: Wanted, data: DataRef, memory: Any
) -> None:
    """A study that something else made is refused, not mixed in."""
    from fmnist_sweep.search.opening import open_study

    experiment = wanted["dense-depth"]
    open_study(experiment.config, data, memory)
    with pytest.raises(StudyMismatchError, match="kind"):
        experiment.open(data, memory)


def test_the_scales_keep_the_promise_of_five_seeds() -> None:
    """The full paper has at least five; the quick one is smaller in seeds and images, and says so by name."""
    assert {e.split.train_size for e in experiments(FULL, folder=SWEEPS)} == {None}
    assert min(e.n_repeats for e in experiments(FULL, folder=SWEEPS)) >= 5
    quick = experiments(QUICK, folder=SWEEPS)
    assert {e.split.train_size for e in quick} == {8_000}
    assert all(e.study_name.startswith("paper-quick-") for e in quick)


def test_settings_can_be_replaced_in_all_experiments() -> None:
    """What is given for a run goes before the files and before the scale."""
    tiny = experiments(
        Scale("x-", 2, most_images=10_000, overrides=("training.train_size=300",)), folder=SWEEPS
    )
    assert {e.split.train_size for e in tiny} == {300}


def test_a_missing_sweep_file_is_named(tmp_path: Any) -> None:
    """Run from elsewhere, the command says what it looked for."""
    with pytest.raises(ConfigError, match="dense-rate-and-l2"):
        experiments(FULL, folder=tmp_path)


def test_experiments_train_plainly() -> None:
    """No pruning, no early stop, each scored at its end, Keras's running mean kept."""
    for name in NAMES:
        file = load_config(SWEEPS / f"{name}.toml").file
        assert (file.pruner.name, file.score.epoch_rule, file.training.patience) == ("none", "last", None)
        assert file.training.running_metrics


def test_what_another_tool_told_is_left_to_train(wanted: Wanted, data: DataRef, memory: Any) -> None:
    """Before a run and in its plan alike."""
    experiment = wanted["dense-final"]
    study = experiment.open(data, memory)
    point = experiment.wanted[0]
    kind = optuna.distributions.IntDistribution(0, experiment.n_repeats - 1)
    study.add_trial(optuna.trial.create_trial(params=point, distributions={REPEAT: kind}, value=0.99))
    assert experiment.left(study) == experiment.wanted
    assert experiment.plan(study).n_trials == len(experiment.wanted) + 1
