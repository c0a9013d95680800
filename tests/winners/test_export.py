import json
import tomllib
from pathlib import Path

import optuna
import pandas as pd
import pytest
from made_studies import StudyMaker
from optuna.trial import TrialState

from fmnist_sweep.config import load_config
from fmnist_sweep.errors import StorageError, SweepError
from fmnist_sweep.reports.frames import best_trials
from fmnist_sweep.winners.export import export_study, safe_name


def test_the_best_trial_is_written_as_a_sweep_file_that_run_accepts(
    study: optuna.Study, tmp_path: Path
) -> None:
    """The file's space is the one point that won, trained up to its scored epoch."""
    best = best_trials(study, 1)[0]
    paths = export_study(study, tmp_path)
    assert [p.name for p in paths] == ["dense-best.toml", "dense-best.json", "dense-trials.csv"]
    config = load_config(paths[0])
    written = {name: config.space[name].ends()[0] for name in config.space}
    assert config.space.size == 1
    assert {name: written[name] for name in best.params} == best.params
    assert written["batch_size"] == 32
    assert config.epochs == [best.user_attrs["epoch"] + 1]
    assert config.score_rule.epoch_rule == "last"
    assert (config.file.study, config.file.budget.trials) == ("dense-best", 1)
    assert config.file.sampler.enqueue_default is False


def test_the_sweep_file_says_where_it_comes_from(study: optuna.Study, tmp_path: Path) -> None:
    """Its first lines name trial and study and say that it is unconfirmed."""
    text = export_study(study, tmp_path)[0].read_text(encoding="utf-8")
    assert text.startswith(f'# Trial {best_trials(study, 1)[0].number} of study "dense"')
    assert "Unconfirmed" in text


def test_any_other_complete_trial_can_be_exported(study: optuna.Study, tmp_path: Path) -> None:
    """A trial asked for by number is written under its number."""
    paths = export_study(study, tmp_path, trial=1)
    assert [p.name for p in paths] == ["dense-trial-1.toml", "dense-trial-1.json", "dense-trials.csv"]
    assert tomllib.loads(paths[0].read_text(encoding="utf-8"))["study"] == "dense-trial-1"


def test_json_and_csv_hold_what_the_study_holds(study: optuna.Study, tmp_path: Path) -> None:
    """The JSON is the trial with its provenance, the CSV has a row for each trial."""
    _, facts_path, table_path = export_study(study, tmp_path)
    facts = json.loads(facts_path.read_text(encoding="utf-8"))
    best = best_trials(study, 1)[0]
    assert facts["score"] == best.value
    assert facts["hyperparameters"] == best.user_attrs["hyperparameters"]
    assert facts["data_digest"] == study.user_attrs["data_digest"]
    assert len(pd.read_csv(table_path)) == len(study.get_trials(deepcopy=False))


@pytest.mark.parametrize(
    "name", ["../../outside", "/etc/passwd", "..", "a/b", ".hidden", "<b>", "\0", "x" * 300]
)
def test_a_studys_name_cannot_leave_the_folder(name: str, tmp_path: Path) -> None:
    """Whatever a study is called, its files have plain names."""
    safe = safe_name(name)
    assert (tmp_path / f"{safe}-best.toml").resolve().parent == tmp_path.resolve()
    assert not safe.startswith(".")
    assert len(safe) <= 100


def test_a_study_without_a_complete_trial_is_an_error(tiny_study: StudyMaker, tmp_path: Path) -> None:
    """There is nothing to hand out before a trial is complete, and no file is written."""
    with pytest.raises(SweepError, match="no complete trial"):
        export_study(tiny_study(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_unknown_and_unfinished_trials_are_errors(study: optuna.Study, tmp_path: Path) -> None:
    """The message tells which numbers exist, or the trial's state and the best complete one."""
    last = len(study.get_trials(deepcopy=False)) - 1
    with pytest.raises(SweepError, match=f"no trial 999; it has trials 0 to {last}"):
        export_study(study, tmp_path, trial=999)
    pruned = study.get_trials(states=(TrialState.PRUNED,))[0].number
    with pytest.raises(SweepError, match=f"trial {pruned} .* is pruned, not complete"):
        export_study(study, tmp_path, trial=pruned)


def test_a_folder_that_cannot_be_written_is_an_error(study: optuna.Study, tmp_path: Path) -> None:
    """A file in the folder's place is named in the message."""
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with pytest.raises(StorageError, match="taken"):
        export_study(study, tmp_path / "taken")
