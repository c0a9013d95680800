"""Which configurations a confirmation trains, how often, from which seeds, and how it goes on."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_studies import add_confirmation, stored
from optuna.trial import TrialState

from fmnist_sweep.analysis.comparing import side
from fmnist_sweep.analysis.confirmations import read_confirmation
from fmnist_sweep.analysis.decision import DecisionRule
from fmnist_sweep.analysis.ranking import best_trials, candidates
from fmnist_sweep.api.runs import confirm
from fmnist_sweep.config.loading import parse_config
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.confirm.plan import candidate_number, repeat_seeds
from fmnist_sweep.confirm.request import ConfirmationRequest, SweepToConfirm, confirmation_request
from fmnist_sweep.confirm.rule import AskedRule
from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.errors import ConfigError, StudyBusyError, StudyMismatchError, SweepError
from fmnist_sweep.core.events import Started
from fmnist_sweep.core.jobs import DataRef, TrialJob
from fmnist_sweep.core.observer import ProgressObserver
from fmnist_sweep.core.places import PlacedJob, Places
from fmnist_sweep.core.progress import Progress, Stop
from fmnist_sweep.export.choice import chosen
from fmnist_sweep.models.spaces import dense_n_parameters
from fmnist_sweep.search.import_trials import require_importable
from fmnist_sweep.search.loop import Search
from fmnist_sweep.search.opening import open_study
from fmnist_sweep.storage.checkpoints import CheckpointFolder
from fmnist_sweep.storage.lease.ownership import ownership
from fmnist_sweep.storage.opening import open_storage
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.studies import load_study
from fmnist_sweep.training.testing import FakeTrainer, ScriptedTrainer, scripted_curve

Sweep = Callable[..., tuple[Stop, optuna.Study]]
Run = Callable[..., optuna.Study]


@pytest.fixture
def config(make_config: Callable[..., SweepConfig]) -> SweepConfig:
    """A sweep of six trials, of which the first is the default."""
    return make_config(budget={"trials": 6}, training={"seed": 3, "n_val": 20, "patience": 2})


def rising(job: TrialJob) -> LearningCurve:
    """The larger a trial's learning rate, the better."""
    rate = float(job.hyperparameters["learning_rate"])
    return scripted_curve(replace(job, hyperparameters={"accuracy_peak": 0.85 + 5 * rate}))


@pytest.fixture
def swept(sweep: Sweep, config: SweepConfig, memory: optuna.storages.InMemoryStorage) -> optuna.Study:
    """The finished sweep, in memory."""
    return sweep(config, rising, storage=memory)[1]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `swept_in_file` keeps the sweep."""
    return tmp_path_factory.mktemp("swept") / "studies.db"


@pytest.fixture
def swept_in_file(sweep: Sweep, config: SweepConfig, kept: Path, empty_storage: Path, tmp_path: Path) -> Any:
    """The finished sweep, in SQLite: the first test that asks runs it, each gets a copy."""
    if not kept.exists():
        new = kept.with_name("new.db")
        shutil.copy(empty_storage, new)
        storage = open_storage(f"sqlite:///{new}", create=True)
        sweep(config, rising, storage=storage)
        # All of it goes into the one file.
        storage.remove_session()
        storage.engine.dispose()
        new.rename(kept)
    shutil.copy(kept, tmp_path)
    return load_study(open_storage(f"sqlite:///{tmp_path / 'studies.db'}", create=False), "tiny")


@pytest.fixture
def run(data: DataRef, workers: Any) -> Run:
    """Run a confirmation with two workers: ``run(order)`` returns its linked study."""

    def confirm(
        wanted: ConfirmationRequest,
        trainer: Any = None,
        *,
        interrupted: threading.Event | None = None,
        observer: Any = None,
        checkpoints: CheckpointFolder | None = None,
    ) -> optuna.Study:
        linked = wanted.open(data, wanted.swept.study._study._storage)
        places = Places(checkpoints=None if checkpoints is None else checkpoints.path)
        engine = workers(ScriptedTrainer() if trainer is None else trainer, places=places)
        with ownership(linked) as owner:
            search = Search.of(
                wanted.config,
                data,
                linked,
                engine,
                plan=wanted.plan(linked),
                run=owner.run,
                checkpoints=checkpoints,
                observer=None if observer is None else ProgressObserver(observer),
            )
            search.run(interrupted)
        return linked

    return confirm


def outcome(linked: optuna.Study) -> list[tuple[Any, ...]]:
    """What a confirmation found, whatever the numbers and times of its trials."""
    timed = {"seconds", "run"}
    trials = [t for t in linked.trials if t.state is TrialState.COMPLETE]
    told = [(t.params, t.value, {k: v for k, v in t.user_attrs.items() if k not in timed}) for t in trials]
    return sorted(told, key=lambda row: (row[0]["repeat"], row[0]["candidate"]))


def labels(wanted: ConfirmationRequest) -> list[str]:
    return [c.label for c in wanted.candidates]


# --- candidates --------------------------------------------------------------------------------------------


def test_the_best_and_the_baseline_are_candidates(swept: optuna.Study) -> None:
    """Each trains up to the epoch that the sweep scored, the baseline as long as its author has it."""
    wanted = confirmation_request(stored(swept), top=2)
    best = sorted(swept.trials, key=lambda t: -(t.value or 0))[:2]
    assert labels(wanted) == [f"trial {t.number}" for t in best] + ["baseline"]
    *rivals, baseline = wanted.candidates
    assert [c.trial for c in rivals] == [t.number for t in best]
    assert (baseline.trial, baseline.sweep_score, baseline.epochs) == (None, None, 15)
    assert baseline.hyperparameters == swept.trials[0].user_attrs["hyperparameters"]
    for candidate in rivals:
        trial = swept.trials[candidate.trial or 0]
        assert candidate.hyperparameters == trial.user_attrs["hyperparameters"]
        assert (candidate.epochs, candidate.sweep_score) == (trial.user_attrs["epoch"] + 1, trial.value)


def test_four_are_taken_where_nothing_is_said(swept: optuna.Study) -> None:
    """Or as many as there are; the default at the sweep's epoch is one of them like any other."""
    assert len(confirmation_request(stored(swept)).candidates) == 5
    wanted = confirmation_request(stored(swept), top=6)
    assert (len(wanted.candidates), wanted.n_repeats) == (7, 5)
    assert "trial 0" in labels(wanted)


def test_a_default_that_trains_as_its_author_has_it_is_no_rival_of_the_baseline(
    sweep: Sweep, make_config: Callable[..., SweepConfig]
) -> None:
    """It would be compared with itself."""
    _, study = sweep(make_config(space={"epochs": 15}, score={"epoch_rule": "last"}, budget={"trials": 3}))
    assert labels(confirmation_request(stored(study))) == [*labels_but(study, 0), "baseline"]


def labels_but(study: optuna.Study, number: int) -> list[str]:
    return [f"trial {t.number}" for t in best_trials(stored(study)) if t.number != number]


def test_of_equal_configurations_one_is_taken(sweep: Sweep, make_config: Callable[..., SweepConfig]) -> None:
    """A sweep may draw a point again; training it twice would compare it with itself."""
    config = make_config(
        space={"activation": {"choices": ["relu", "tanh"]}, "depth": 1, "epochs": 4},
        sampler={"name": "random"}, budget={"trials": 40},
    )  # fmt: skip
    _, study = sweep(config)
    assert len(confirmation_request(stored(study), top=2).candidates) == 3 < len(study.trials)
    with pytest.raises(ConfigError, match="--top: 3 can't be taken; distinct complete configurations: 2"):
        confirmation_request(stored(study), top=3)


def test_wrong_options_and_what_the_study_lacks_are_told_together(
    swept_in_file: optuna.Study, tmp_path: Path
) -> None:
    """Whoever mends the one is not sent back for the other."""
    del swept_in_file
    with pytest.raises(ConfigError, match="--repeats: 1 shows") as caught:
        confirm("tiny", storage=f"sqlite:///{tmp_path / 'studies.db'}", top=9, repeats=1)
    assert "--top: 9 can't be taken; distinct complete configurations: 6" in str(caught.value)


@pytest.mark.parametrize("low", [1e-4, 1e-3])
def test_a_default_that_was_not_swept_trains_its_own_epochs(
    sweep: Sweep, make_config: Callable[..., SweepConfig], low: float
) -> None:
    """Inside the space as the sweep would have had it, outside it as the model has it."""
    space = {"learning_rate": {"low": low, "high": 1e-2}, "epochs": 4}
    _, study = sweep(make_config(sampler={"name": "random", "enqueue_default": False}, space=space))
    default = confirmation_request(stored(study)).candidates[-1]
    assert (default.label, default.trial, default.sweep_score, default.epochs) == ("baseline", None, None, 15)
    assert default.hyperparameters["learning_rate"] == 1e-4
    assert set(default.hyperparameters) == set(study.trials[0].user_attrs["hyperparameters"])


@pytest.mark.parametrize("measured", [True, False])
def test_a_model_without_epochs_of_its_own_trains_to_the_best_plain_one(
    swept: optuna.Study, config: SweepConfig, measured: bool
) -> None:
    """Of the sweep's trial of the default, whatever the score picked; without it the most that it allows."""
    own = config.model_space
    without = replace(
        own,
        space=own.space.without("epochs"),
        defaults={name: value for name, value in own.defaults.items() if name != "epochs"},
    )
    study = stored(swept)
    sweep = SweepToConfirm(study)
    sweep.__dict__["config"] = replace(config, model_space=without)
    if not measured:
        study.__dict__["trials"] = [t for t in study.trials if t.number != 0]
    assert sweep.baseline is not None
    curve = study.again().trials[0].curve
    assert curve is not None
    best = 1 + max(range(len(curve)), key=lambda e: curve.values("val_accuracy")[e])
    assert sweep.baseline.epochs == (best if measured else config.epochs[-1])


def test_the_seeds_of_a_repeat_are_fresh_and_always_the_same(config: SweepConfig) -> None:
    """Made from the sweep's seed, different for each repeat."""
    seeds = [repeat_seeds(config, r) for r in range(20)]
    assert seeds == [repeat_seeds(config, r) for r in range(20)]
    assert len({seed for pair in seeds for seed in pair}) == 40


@given(st.integers(0, 2**32 - 10_101), st.integers(0, 50))
def test_no_seed_of_a_repeat_is_one_of_the_sweep(seed: int, repeat: int) -> None:
    """Not even where the sweep was run with what a repeat would have drawn."""
    settings = {"study": "s", "model": "dense", "space": {"epochs": 1}}
    drawn = repeat_seeds(parse_config({**settings, "training": {"seed": seed}}, where=""), repeat)
    training = {"seed": seed, "split_seed": drawn[1]}
    again = repeat_seeds(parse_config({**settings, "training": training}, where=""), repeat)
    assert not {seed, drawn[1]} & set(again)
    assert len({seed, *drawn}) == 3


# --- the linked study --------------------------------------------------------------------------------------


def test_each_repeat_is_a_trial_of_the_linked_study(swept_in_file: optuna.Study, run: Run) -> None:
    """Repeat by repeat, paired by seed and split, scored after the last epoch, with all that a trial has."""
    wanted = confirmation_request(stored(swept_in_file), top=2, repeats=3)
    linked = run(wanted)
    assert linked.study_name == "tiny-confirm"
    expected = [(candidate_number(c), r) for r in range(3) for c in wanted.candidates]
    assert [(t.params["candidate"], t.params["repeat"]) for t in linked.trials] == expected
    for trial in linked.trials:
        attrs = trial.user_attrs
        candidate = next(c for c in wanted.candidates if c.label == attrs["candidate"])
        assert (attrs["seed"], attrs["split_seed"]) == repeat_seeds(wanted.config, attrs["repeat"])
        assert attrs["repeat"] == trial.params["repeat"]
        assert attrs["epoch"] + 1 == attrs["n_epochs"] == candidate.epochs
        assert attrs["hyperparameters"] == candidate.hyperparameters
        assert attrs.keys() >= {
            "curve",
            "val_accuracy",
            "gap",
            "val_cross_entropy",
            "n_parameters",
            "seconds",
        }
        assert "n_reused_epochs" not in attrs
    told = linked.user_attrs
    assert told["candidates"] == [c.to_attribute() for c in wanted.candidates]
    assert (told["kind"], told["confirms"], told["n_repeats"]) == ("confirm", "tiny", 3)
    assert told.keys() >= {"config", "config_digest", "data", "data_digest", "versions", "model_path"}
    found = read_confirmation(stored(swept_in_file))
    assert found is not None
    assert found.finished
    assert wanted.fulfilled()


def test_jobs_have_the_repeats_seed_and_split(swept: optuna.Study, run: Run, config: SweepConfig) -> None:
    """All else is the sweep's, and no patience cuts a repeat short."""
    jobs: list[TrialJob] = []

    def curve(job: TrialJob) -> Any:
        jobs.append(job)
        return scripted_curve(job)

    wanted = confirmation_request(stored(swept), top=1, repeats=2)
    run(wanted, FakeTrainer(curve))
    assert len(jobs) == 4
    for job in jobs:
        assert (job.split.n_val, job.split.seed) == (20, repeat_seeds(config, 0 if job.trial < 2 else 1)[1])
        assert job.seed == repeat_seeds(config, 0 if job.trial < 2 else 1)[0]
        assert job.model == config.model_space.path
    # A fit is called as in the sweep, and ended where that was scored; the baseline's as its author's.
    most = config.epochs[-1]
    assert [job.fit_epochs for job in jobs] == [most, None, most, None]


def test_what_a_fit_was_asked_for_is_known_of_every_rule(swept: optuna.Study) -> None:
    """What was drawn, or the most that the sweep allows, or the one number that there is."""
    study = stored(swept)
    trial = study.trials[0]
    assert study.asked_epochs(trial) == max(study.allowed_epochs or ()) + 1
    assert study.asked_epochs(replace(trial, params={**trial.params, "epochs": 7})) == 7
    fixed: Any = SimpleNamespace(allowed_epochs=None, config={"space": {"epochs": {"value": 9}}})
    assert StoredStudy.asked_epochs(fixed, trial) == 9


def test_a_finished_confirmation_trains_nothing(swept: optuna.Study, run: Run) -> None:
    """Fewer repeats than there are leave those that there are."""
    wanted = confirmation_request(stored(swept), top=2, repeats=3)
    before = outcome(run(wanted))
    again = confirmation_request(stored(swept), top=1, repeats=2)
    assert again.fulfilled()
    assert again.n_repeats == 3
    assert outcome(run(again)) == before


def test_more_repeats_and_more_candidates_add_to_what_is_there(swept: optuna.Study, run: Run) -> None:
    """Nothing is trained twice, and the outcome is that of a larger order from the start."""
    run(confirmation_request(stored(swept), top=1, repeats=2))
    wanted = confirmation_request(stored(swept), top=3, repeats=3)
    assert not wanted.fulfilled()
    linked = run(wanted)
    assert len(linked.trials) == 4 * 3
    assert {(t.params["candidate"], t.params["repeat"]) for t in linked.trials} == {
        (candidate_number(c), r) for c in wanted.candidates for r in range(3)
    }
    found = read_confirmation(stored(swept))
    assert found is not None
    assert found.finished
    assert found.paired == (0, 1, 2)


def test_candidates_that_were_begun_stay(swept: optuna.Study, run: Run) -> None:
    """Also where the sweep has gone on and others are its best now."""
    wanted = confirmation_request(stored(swept), top=3, repeats=2)
    run(wanted)
    assert labels(confirmation_request(stored(swept), top=1, repeats=2)) == labels(wanted)


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 4, 6])
def test_a_confirmation_that_was_stopped_goes_on_exactly(
    swept_in_file: optuna.Study, run: Run, after: int
) -> None:
    """Whenever it is interrupted, it comes to what an uninterrupted one comes to, paired on the way."""
    wanted = confirmation_request(stored(swept_in_file), top=2, repeats=2)
    interrupted, n_seen = threading.Event(), 0

    def stop(_: Progress) -> None:
        nonlocal n_seen
        n_seen += 1
        if n_seen == after:
            interrupted.set()

    linked = run(wanted, interrupted=interrupted, observer=stop)
    assert not [t for t in linked.trials if t.state is TrialState.RUNNING]
    stopped = outcome(run(wanted))
    assert len(stopped) == 6
    optuna.delete_study(study_name="tiny-confirm", storage=swept_in_file._storage)
    assert outcome(run(wanted)) == stopped


@pytest.mark.parametrize("written", [(), ("candidate",), ("candidate", "repeat")])
def test_a_draw_that_was_cut_short_is_finished(
    swept_in_file: optuna.Study, run: Run, data: DataRef, written: tuple[str, ...]
) -> None:
    """A process may die between any two of its writes: no repeat is lost and none is trained twice."""
    wanted = confirmation_request(stored(swept_in_file), top=2, repeats=2)
    linked = wanted.open(data, swept_in_file._storage)
    linked.sampler = wanted.plan(linked).sampler(0)
    trial = linked.ask()
    for name in written:
        # The ranges were narrower in an earlier order.
        trial.suggest_int(name, -1, 5)
    linked = run(wanted)
    assert [t.state for t in linked.trials] == [TrialState.COMPLETE] * 6
    assert len({tuple(t.params.items()) for t in linked.trials}) == 6


@pytest.mark.parametrize("told", [False, True])
def test_a_draw_that_was_cut_short_keeps_its_candidate(
    swept: optuna.Study, run: Run, data: DataRef, told: bool
) -> None:
    """Whatever its process had come to write, it can be read, and a smaller order trains it to its end."""
    wanted = confirmation_request(stored(swept), top=2, repeats=2)
    linked = wanted.open(data, swept._storage)
    plan, second = wanted.plan(linked), wanted.candidates[1]
    plan.sampler(0)
    linked.sampler = plan.sampler(1)
    trial = linked.ask()
    assert trial.suggest_int("candidate", -1, 5) == second.trial
    if told:
        trial.set_user_attr("candidate", second.label)
    found = read_confirmation(stored(swept))
    assert found is not None
    assert (found.repeats, found.failures, found.finished) == ((), (), False)
    smaller = confirmation_request(stored(swept), top=1, repeats=2)
    assert labels(smaller) == [second.label, wanted.candidates[0].label, "baseline"]
    assert {t.state for t in run(smaller).trials} == {TrialState.COMPLETE}


def test_a_repeat_of_a_larger_order_is_trained_to_its_end(swept: optuna.Study, run: Run) -> None:
    """One that was put back stays with its repeat number, beyond what is asked for now."""
    linked = run(confirmation_request(stored(swept), top=1, repeats=2))
    plan = confirmation_request(stored(swept), top=1, repeats=3).plan(linked)
    linked.sampler = plan.sampler(len(linked.trials))
    plan.draw(linked.ask())
    linked = run(confirmation_request(stored(swept), top=2, repeats=2))
    assert {t.state for t in linked.trials} == {TrialState.COMPLETE}
    found = read_confirmation(stored(swept))
    assert found is not None
    assert (found.finished, found.n_repeats, len(found.repeats)) == (True, 2, 7)


def test_a_repeat_that_failed_is_trained_again_by_the_next_run(swept: optuna.Study, run: Run) -> None:
    """Not by the same one, which would try for ever."""
    wanted = confirmation_request(stored(swept), top=1, repeats=2)
    linked = run(wanted, FakeTrainer(scripted_curve, fail_at={1: 0}))
    assert [t.state.name for t in linked.trials] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    found = read_confirmation(stored(swept))
    assert found is not None
    assert (found.finished, len(found.failures)) == (True, 1)
    assert not wanted.fulfilled()
    linked = run(wanted)
    assert [t.state.name for t in linked.trials][4:] == ["COMPLETE"]
    assert wanted.fulfilled()


def test_a_default_of_too_many_weights_is_no_candidate(
    sweep: Sweep, run: Run, make_config: Callable[..., SweepConfig]
) -> None:
    """It could not be trained; without it a confirmation comes to its end."""
    narrow = {"units_1": {"low": 16, "high": 32}, "epochs": 4}
    config = make_config(space=narrow, max_model_size=100_000, training={"n_val": 20})
    _, study = sweep(config)
    assert config.default_point is None
    wanted = confirmation_request(stored(study), top=1, repeats=2)
    assert [c.trial for c in wanted.candidates] == [confirmation_request(stored(study)).candidates[0].trial]
    run(wanted)
    found = read_confirmation(stored(study))
    assert wanted.fulfilled()
    assert found is not None
    assert (found.finished, found.failures) == (True, ())
    assert [s.to_default for s in found.standings] == [None]


class Counting:
    """Trains from the script, and tells as many weights as the model of a job has."""

    def fit(self, job: TrialJob) -> Any:
        """Yield the scripted curve behind the true number of weights."""
        _, *scores = ScriptedTrainer().fit(job)
        yield Started(job.trial, dense_n_parameters(job.hyperparameters, (28, 28, 1), 10))
        yield from scores


def test_a_lowered_limit_takes_larger_trials_from_the_candidates(
    sweep: Sweep, run: Run, make_config: Callable[..., SweepConfig]
) -> None:
    """Also those that were confirmed under the higher one, the default with them; with it they are back."""
    settings = {"budget": {"trials": 8}, "training": {"n_val": 20}}
    _, study = sweep(make_config(**settings), Counting())
    linked = run(confirmation_request(stored(study), top=2, repeats=2), Counting())
    free = read_confirmation(stored(study))
    low = 240_000
    sweep(make_config(**settings, max_model_size=low), Counting())
    small = {t.number for t in best_trials(stored(study)) if (t.n_parameters or 0) <= low}
    assert 0 < len(small) < 8
    assert {t.number for t in candidates(stored(study))} == small
    assert chosen(stored(study)).trial in small
    assert side(stored(study)).label in {f"trial {number}" for number in small}
    large = next(t.number for t in best_trials(stored(study)) if t.number not in small)
    with pytest.raises(SweepError, match=f"trial {large} .* more than max_model_size = 240,000"):
        chosen(stored(study), large)
    wanted = confirmation_request(stored(study), top=1, repeats=3)
    assert {c.trial for c in wanted.candidates} <= small
    run(wanted, Counting())
    found = read_confirmation(stored(study))
    assert found is not None
    assert (found.finished, found.failures) == (True, ())
    assert {c.trial for c in found.candidates} <= small
    assert found.winner is not None
    assert chosen(stored(study)).confirmed
    sweep(make_config(**settings), Counting())
    again = read_confirmation(stored(study))
    assert free is not None
    assert again is not None
    assert {c.label for c in again.candidates} >= {c.label for c in free.candidates}
    assert len(linked.trials) == len(again.repeats)


def test_a_repeat_that_has_become_too_large_ends_as_infeasible(
    sweep: Sweep,
    run: Run,
    make_config: Callable[..., SweepConfig],
    sqlite_storage: optuna.storages.RDBStorage,
) -> None:
    """Where it was put back and has to be taken up: it is neither trained nor counted."""
    settings = {"budget": {"trials": 4}, "training": {"n_val": 20}}
    _, study = sweep(make_config(**settings), Counting(), storage=sqlite_storage)
    stopped = threading.Event()

    def stop(progress: Progress) -> None:
        if progress.running and progress.n_done_now >= 2:
            stopped.set()

    run(
        confirmation_request(stored(study), top=4, repeats=2),
        Counting(),
        interrupted=stopped,
        observer=stop,
    )
    smallest = min(t.n_parameters or 0 for t in best_trials(stored(study)))
    sweep(make_config(**settings, max_model_size=smallest), Counting(), storage=sqlite_storage)
    linked = run(confirmation_request(stored(study), top=1, repeats=2), Counting())
    failed = [t for t in linked.trials if t.state is TrialState.FAIL]
    assert failed
    assert all(t.user_attrs["fail_reason"].startswith("infeasible: ") for t in failed)
    found = read_confirmation(stored(study))
    assert found is not None
    assert (found.finished, found.failures) == (True, ())


# --- the rule ----------------------------------------------------------------------------------------------


def test_the_rule_is_stored_and_stays_where_nothing_else_is_asked_for(swept: optuna.Study, run: Run) -> None:
    """Another one is written by the next run, which trains nothing for it."""
    linked = run(confirmation_request(stored(swept), top=1, repeats=2, rule=AskedRule(sure=0.9)))
    assert linked.user_attrs["decision"] == DecisionRule(sure=0.9).to_attribute()
    assert confirmation_request(stored(swept), top=1, repeats=2).rule == DecisionRule(sure=0.9)
    other = AskedRule(prefer="smallest", within=0.2)
    wanted = confirmation_request(stored(swept), top=1, repeats=2, rule=other)
    assert not wanted.fulfilled()
    assert len(run(wanted).trials) == 4
    assert wanted.fulfilled()
    assert confirmation_request(stored(swept)).rule == DecisionRule(0.9, prefer="smallest", within=0.2)
    best = confirmation_request(stored(swept), rule=AskedRule(prefer="best"))
    assert best.rule == DecisionRule(0.9, within=0.2)


def test_a_thorough_one_trains_a_duel_once_its_pick_is_known(swept: optuna.Study, run: Run) -> None:
    """Pick and baseline alone, from seeds that picked nothing."""
    thorough = AskedRule(thorough=True)
    wanted = confirmation_request(stored(swept), top=2, rule=thorough)
    linked = run(wanted)
    assert (wanted.n_repeats, len(linked.trials)) == (4, 3 * 4)
    duel = confirmation_request(stored(swept), top=2, rule=thorough)
    assert not duel.fulfilled()
    linked = run(duel)
    found = read_confirmation(stored(swept))
    assert found is not None
    fresh = linked.trials[12:]
    assert [(t.user_attrs["candidate"], t.user_attrs["repeat"]) for t in fresh] == found.duel_pairs
    picking = {t.user_attrs["seed"] for t in linked.trials[:12]}
    assert {t.user_attrs["seed"] for t in fresh}.isdisjoint(picking)
    assert (found.finished, len(found.duel), len(fresh)) == (True, 8, 16)
    assert confirmation_request(stored(swept), top=2).fulfilled()


def test_a_confirmation_of_before_stays_until_something_is_added(swept: optuna.Study) -> None:
    """Then its repeats stay as well, and the baseline is trained beside them."""
    add_confirmation(swept, {"trial 1": [0.9, 0.91], "trial 2": [0.9, 0.9], "default": [0.8, 0.82]})
    for kept in (
        confirmation_request(stored(swept)),
        confirmation_request(stored(swept), top=2),
        confirmation_request(stored(swept), repeats=2),
    ):
        assert (kept.rule, kept.fulfilled()) == (None, True)
    for more in (
        confirmation_request(stored(swept), repeats=3),
        confirmation_request(stored(swept), top=3),
        confirmation_request(stored(swept), top=2, repeats=2, rule=AskedRule(sure=0.8)),
    ):
        assert (more.rule, more.fulfilled()) == (DecisionRule(), False)
        assert {"default", "baseline", "trial 1", "trial 2"} <= set(labels(more))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (AskedRule(sure=1.0), "--sure: 1 can't be taken; from 0.5"),
        (AskedRule(sure=float("nan")), "--sure: nan can't be taken"),
        (AskedRule(within=-0.1), "--within: -0.1 can't be taken; from 0 to 100"),
    ],
)
def test_a_rule_that_is_none_is_refused(swept: optuna.Study, asked: AskedRule, words: str) -> None:
    """With what is allowed, beside all other problems."""
    with pytest.raises(ConfigError, match=words):
        confirmation_request(stored(swept), rule=asked)


# --- what is refused ---------------------------------------------------------------------------------------


def test_what_cannot_be_confirmed_is_refused(swept: optuna.Study, run: Run) -> None:
    """A confirmation itself, another tool's study, numbers out of range; all problems at once."""
    linked = run(confirmation_request(stored(swept), top=1, repeats=2))
    with pytest.raises(SweepError, match="'tiny-confirm' is a confirmation itself: confirm 'tiny'"):
        confirmation_request(stored(linked))
    with pytest.raises(SweepError, match="not made by fmnist-sweep"):
        confirmation_request(stored(optuna.create_study(study_name="other")))
    with pytest.raises(ConfigError) as refused:
        confirmation_request(stored(swept), top=7, repeats=1)
    assert refused.value.problems == (
        "--top: 7 can't be taken; distinct complete configurations: 6",
        "--repeats: 1 shows no spread; take at least 2, better 5",
    )
    with pytest.raises(ConfigError, match="--top: 0 can't be taken"):
        confirmation_request(stored(swept), top=0)


def test_a_study_without_complete_trials_is_refused(
    config: SweepConfig, data: DataRef, memory: optuna.storages.InMemoryStorage
) -> None:
    """There is nothing to confirm yet."""
    with pytest.raises(ConfigError, match="no trial is complete yet; run the sweep first"):
        confirmation_request(stored(open_study(config, data, memory)))


def test_data_that_have_changed_are_refused(swept: optuna.Study, data: DataRef) -> None:
    """With both contents, and before the linked study is made."""
    changed = replace(data, digest="c4a9" * 16)
    with pytest.raises(StudyMismatchError, match=r"was run on other data: tiny had content da7ada7ada7a"):
        confirmation_request(stored(swept)).open(changed, swept._storage)
    assert optuna.get_all_study_names(swept._storage) == ["tiny"]


def test_a_sweep_with_the_name_of_the_linked_study_is_left_alone(swept: optuna.Study, data: DataRef) -> None:
    """Nor is a linked study taken for a sweep's, even under equal settings."""
    wanted = confirmation_request(stored(swept))
    open_study(wanted.config, data, swept._storage)
    with pytest.raises(StudyMismatchError, match="kind: the study has 'nothing', now 'confirm'"):
        wanted.open(data, swept._storage)
    optuna.delete_study(study_name="tiny-confirm", storage=swept._storage)
    wanted.open(data, swept._storage)
    with pytest.raises(StudyMismatchError, match="kind: the study has 'confirm', now 'nothing'"):
        open_study(wanted.config, data, swept._storage)


def test_a_sweep_that_was_made_anew_is_told_from_the_confirmed_one(
    sweep: Sweep, swept: optuna.Study, config: SweepConfig, run: Run
) -> None:
    """Trial 3 of another sweep is another configuration: it must not get the repeats of the first one."""
    run(confirmation_request(stored(swept), top=5, repeats=2))
    optuna.delete_study(study_name="tiny", storage=swept._storage)
    changed = config.file.model_copy(update={"sampler": config.file.sampler.model_copy(update={"seed": 9})})
    _, anew = sweep(replace(config, file=changed), storage=swept._storage)
    with pytest.raises(StudyMismatchError, match=r"confirms an earlier study 'tiny', whose trial \d"):
        confirmation_request(stored(anew))


def test_an_order_that_is_refused_changes_no_other(swept: optuna.Study, run: Run, data: DataRef) -> None:
    """Whoever owns the linked study goes on with its own order."""
    linked = run(confirmation_request(stored(swept), top=1, repeats=2))
    elsewhere = {"host": "node-b", "boot": "b", "pid": 7, "started": 1.0, "run": "other"}
    linked.set_user_attr("owner", elsewhere)
    before = read_confirmation(stored(swept))
    larger = confirmation_request(stored(swept), top=2, repeats=3)
    opened = larger.open(data, swept._storage)
    with pytest.raises(StudyBusyError, match="belongs to process 7 on node-b"), ownership(opened):
        larger.plan(opened)
    assert read_confirmation(stored(swept)) == before


def test_a_linked_study_is_not_imported(
    swept: optuna.Study, run: Run, data: DataRef, config: SweepConfig
) -> None:
    """Its curves are those of other splits."""
    run(confirmation_request(stored(swept), top=1, repeats=2))
    new = replace(config, file=config.file.model_copy(update={"study": "new"}))
    with pytest.raises(StudyMismatchError, match="repeats on other splits"):
        require_importable(load_study(swept._storage, "tiny-confirm"), new, data)


def test_a_confirmation_keeps_checkpoints(swept: optuna.Study, run: Run, tmp_path: Any) -> None:
    """Each repeat has its own, as a sweep's trials have."""
    jobs: list[TrialJob] = []

    def curve(job: TrialJob) -> Any:
        jobs.append(job)
        return scripted_curve(job)

    run(
        confirmation_request(stored(swept), top=1, repeats=2),
        FakeTrainer(curve),
        checkpoints=CheckpointFolder(tmp_path),
    )
    assert len({job.checkpoint for job in jobs}) == 4


@pytest.mark.parametrize("equal", [False, True])
def test_checkpoints_stay_only_for_a_candidate_that_can_go_on_from_them(
    swept: optuna.Study, run: Run, tmp_path: Path, equal: bool
) -> None:
    """One that is another one's configuration for more epochs; what nobody can use is not kept."""
    wanted = confirmation_request(stored(swept), top=1, repeats=2)
    best, default = wanted.candidates
    assert default.epochs > 1
    short = replace(best, epochs=1, hyperparameters=(default if equal else best).hyperparameters)
    found: list[bool] = []

    class Saving(ScriptedTrainer):
        def fit(self, job: TrialJob) -> Any:
            assert isinstance(job, PlacedJob)
            found.append(Path(str(job.checkpoint_file)).exists())
            Path(str(job.checkpoint_file)).write_bytes(b"state")
            return super().fit(job)

    run(replace(wanted, candidates=(short, default)), Saving(), checkpoints=CheckpointFolder(tmp_path))
    assert sum(found) == (2 if equal else 0)
    assert not list(tmp_path.glob("*.checkpoint"))


def test_a_repeat_of_another_size_fails_and_the_others_go_on(swept: optuna.Study, run: Run) -> None:
    """Also where the next one starts before the process of the stopped one is gone."""
    wanted = confirmation_request(stored(swept), top=2, repeats=3)
    *rivals, baseline = wanted.candidates
    linked = run(replace(wanted, candidates=(*rivals, replace(baseline, n_parameters=5))))
    failed = [t.user_attrs["candidate"] for t in linked.trials if t.state is TrialState.FAIL]
    assert failed == ["baseline"] * 3
    assert len(linked.trials) == 9


def test_what_another_tool_enqueued_among_the_repeats_fails(swept: optuna.Study, run: Run) -> None:
    """It is no repeat of a candidate; the repeats are trained all the same."""
    wanted = confirmation_request(stored(swept), top=1, repeats=2)
    linked = run(wanted)
    linked.enqueue_trial({"candidate": 99, "repeat": 0})
    linked = run(confirmation_request(stored(swept), top=1, repeats=3))
    states = [t.state for t in linked.trials]
    assert states.count(TrialState.FAIL) == 1
    assert states.count(TrialState.COMPLETE) == len(linked.trials) - 1
