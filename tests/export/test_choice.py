from __future__ import annotations

import tomllib
from pathlib import Path

import optuna
import pytest
from made_studies import StudyMaker, stored, tell_from_elsewhere
from optuna.trial import TrialState

from fmnist_sweep.analysis.ranking import best_trials
from fmnist_sweep.config.loading import load_config
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.core.files import safe_name
from fmnist_sweep.export.choice import Chosen, chosen, sweep_file


def test_the_best_trial_is_chosen_up_to_its_scored_epoch(study: optuna.Study) -> None:
    """Until something is confirmed it is the best trial, and the words say that it is not."""
    best, choice = best_trials(stored(study), 1)[0], chosen(stored(study))
    assert (choice.trial, choice.epochs) == (best.number, best.scored_after)
    assert choice.hyperparameters == best.configuration
    assert not choice.confirmed
    assert "Unconfirmed" in choice.words


def test_the_choice_is_written_as_a_sweep_file_that_run_accepts(study: optuna.Study, tmp_path: Path) -> None:
    """The file's space is one point, trained with the given seed for the chosen epochs."""
    choice = chosen(stored(study))
    path = tmp_path / "config.toml"
    path.write_text(sweep_file(stored(study), choice, name="dense-final", seed=10_000), encoding="utf-8")
    config = load_config(path)
    written = {name: config.space[name].ends()[0] for name in config.space}
    assert config.space.size == 1
    asked = {**choice.hyperparameters, "epochs": choice.epochs}
    assert {name: written[name] for name in asked} == asked
    assert config.score_rule.epoch_rule == "last"
    assert (config.file.study, config.file.training.seed) == ("dense-final", 10_000)
    assert config.file.budget.trials == 1
    assert config.file.sampler.enqueue_default is False
    assert path.read_text().startswith(f'# Trial {choice.trial} of study "dense"')


def test_what_is_no_image_is_called_a_row(study: optuna.Study) -> None:
    """A bundle that says images of the same choice is an earlier one, and the same."""
    of_images = chosen(stored(study))
    assert "picked by these same validation images" in of_images.words
    study.set_user_attr("data", {**study.user_attrs["data"], "form": "call"})
    of_rows = chosen(stored(study))
    assert "picked by these same validation rows" in of_rows.words
    assert of_rows.was_told(of_rows.words)
    assert of_rows.was_told(of_images.words)
    assert not of_rows.was_told("The confirmed winner is trial 1.")


def test_the_sweep_file_asks_an_own_fit_for_what_the_sweep_asked(study: optuna.Study) -> None:
    """It may train a warm-up first: the training ends after the scored epoch, whatever is behind it."""
    choice = chosen(stored(study))
    assert "fit_epochs" not in tomllib.loads(_written(study, choice))["training"]
    study.set_user_attr("data", {**study.user_attrs["data"], "form": "call"})
    told = tomllib.loads(_written(study, choice))
    assert told["training"]["fit_epochs"] == choice.fit_epochs == 20
    assert told["space"]["epochs"] == choice.epochs < 20
    # Another study made of that file is confirmed and exported likewise.
    study.set_user_attr("config", {**told, "space": {"epochs": {"type": "fixed", "value": choice.epochs}}})
    assert stored(study).asked_epochs(stored(study).trials[0]) == 20


def _written(study: optuna.Study, choice: Chosen) -> str:
    return sweep_file(stored(study), choice, name="dense-final", seed=10_000)


def test_a_confirmed_winner_is_chosen(confirmed: optuna.Study) -> None:
    """Not the trial with the best score in the sweep; another trial that is asked for is unconfirmed."""
    choice = chosen(stored(confirmed))
    assert (choice.trial, choice.confirmed) == (1, True)
    assert choice.words.startswith("The confirmed winner is trial 1")
    assert chosen(stored(confirmed), 1) == choice
    assert not chosen(stored(confirmed), 0).confirmed


def test_any_other_complete_trial_can_be_chosen(study: optuna.Study) -> None:
    """By its number."""
    choice = chosen(stored(study), 1)
    assert choice.trial == 1
    assert "asked for by its number" in choice.words


@pytest.mark.parametrize(
    "name", ["../../outside", "/etc/passwd", "..", "a/b", ".hidden", "<b>", "\0", "x" * 300]
)
def test_a_studys_name_cannot_leave_the_folder(name: str, tmp_path: Path) -> None:
    """Whatever a study is called, its bundle has a plain name."""
    safe = safe_name(name)
    assert (tmp_path / safe).resolve().parent == tmp_path.resolve()
    assert not safe.startswith(".")
    assert len(safe) <= 100


def test_a_study_without_a_complete_trial_is_an_error(tiny_study: StudyMaker) -> None:
    """There is nothing to hand out before a trial is complete."""
    with pytest.raises(SweepError, match="no complete trial"):
        chosen(stored(tiny_study()))


def test_unknown_and_unfinished_trials_are_errors(study: optuna.Study) -> None:
    """The message tells which numbers exist, or the trial's state and the best complete one."""
    last = len(study.get_trials(deepcopy=False)) - 1
    with pytest.raises(SweepError, match=f"no trial 999; it has trials 0 to {last}"):
        chosen(stored(study), 999)
    for state in (TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING):
        number = study.get_trials(states=(state,))[0].number
        with pytest.raises(SweepError, match=f"trial {number} .* is {state.name.lower()}, not complete"):
            chosen(stored(study), number)


def test_what_another_tool_told_is_never_chosen(study: optuna.Study, tiny_study: StudyMaker) -> None:
    """Neither as the best nor by its number: nobody knows what it trained."""
    before = chosen(stored(study))
    number = tell_from_elsewhere(study, 0.999)
    assert chosen(stored(study)) == before
    with pytest.raises(SweepError, match=f"trial {number} .* told by another tool.* is trial {before.trial}"):
        chosen(stored(study), number)
    tell_from_elsewhere(alone := tiny_study(), 0.999)
    with pytest.raises(SweepError, match=r"no complete trial yet; run it first. 1 complete trial was told"):
        chosen(stored(alone))
