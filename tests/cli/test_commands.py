"""The commands: what they print, and how they refuse."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy.exc
from made_exports import FinalTrainer, Reader, draw_nothing
from made_studies import tell_from_elsewhere
from optuna.storages import RDBStorage
from scripted_sweeps import follow, scripted_sweep

from fmnist_sweep import data
from fmnist_sweep.api import runs
from fmnist_sweep.cli import main as cli
from fmnist_sweep.cli.commands.options import command_line
from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.events import Started
from fmnist_sweep.core.jobs import DataRef, TrialJob
from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.places import Places
from fmnist_sweep.engines import fork_server
from fmnist_sweep.engines.base import KERAS_TRAINER
from fmnist_sweep.engines.inline import InlineEngine
from fmnist_sweep.engines.opening import open_engine
from fmnist_sweep.export import run as exporting
from fmnist_sweep.export.finals import TEST_READER
from fmnist_sweep.reports import dashboard
from fmnist_sweep.search import run as runner
from fmnist_sweep.storage import DEFAULT_STORAGE
from fmnist_sweep.storage.held import HeldStorage

SWEEP = """
study = "tiny"
model = "dense"
tune_new_entries = false
[space]
learning_rate = { low = 1e-4, high = 1e-2 }
depth = { low = 1, high = 3 }
epochs = 3
[score]
penalty = 1.0
[budget]
trials = 4
"""

KNOWN = """
study = "known"
model = "dense"
tune_new_entries = false
[space]
learning_rate = { low = 1e-5, high = 1e-2 }
activation = { choices = ["relu", "tanh"] }
optimizer = { choices = ["adam", "sgd", "rmsprop"] }
dropout = { type = "float", low = 0.0, high = 0.5, step = 0.25 }
batch_norm = { type = "fixed", value = true, when = { optimizer = ["adam", "sgd"] } }
depth = { low = 1, high = 3 }
units_2 = {}
epochs = 3
"""

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def drawn() -> None:
    """Ask for the figures that are kept with a study for optuna-dashboard."""


@pytest.fixture(autouse=True)
def quick_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no figure where none is asked for: each command that trains draws them, which takes longer."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(dashboard, "FIGURES", {})


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep file whose trials follow a script instead of training."""
    return scripted_sweep(monkeypatch, tmp_path, SWEEP)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `swept` keeps what its run leaves."""
    return tmp_path_factory.mktemp("swept") / "kept"


@pytest.fixture
def swept(command: Command, sweep: Path, kept: Path, tmp_path: Path) -> Path:
    """The sweep file, its study run whole: the first test that asks runs it, the others get a copy."""
    if kept.exists():
        shutil.copytree(kept, tmp_path, dirs_exist_ok=True)
    else:
        assert command("run", str(sweep))[0] == 0
        shutil.copytree(tmp_path, kept)
    return sweep


@pytest.mark.usefixtures("drawn")
def test_run_fills_a_study_and_says_what_came_of_it(command: Command, sweep: Path) -> None:
    """A run ends with the best trials, the comparison with the default, and what to do next."""
    code, out, err = command("run", str(sweep), "--workers", "1")
    assert code == 0
    assert "the budget of trials is used up; 4 complete, 0 pruned, 0 failed" in out
    look, following = err.splitlines()[-2:]
    assert look == "It is kept in sqlite:///studies.db; to look at it: fmnist-sweep dashboard"
    assert following.startswith("Next: fmnist-sweep confirm tiny --workers 1  (trains the best and your base")
    assert err.startswith("Study 'tiny' in sqlite:///studies.db: 4 trials in all, ")
    assert err.count("[4/4] trial 3 complete score") == 1


def test_quiet_prints_results_alone(command: Command, sweep: Path) -> None:
    """Nothing on stderr but what goes wrong; a run without progress still says what it does."""
    code, out, err = command("run", str(sweep), "--quiet")
    assert (code, "4 complete" in out, err) == (0, True, "")
    code, _, err = command("run", str(sweep), "--no-progress", "--trials", "5")
    assert (code, "5 trials in all" in err, "[5/5]" in err) == (0, True, False)
    code, _, err = command("run", str(sweep), "--quiet", "--json-events")
    assert (code, "leave out --quiet" in err) == (2, True)


def test_a_run_that_finds_nothing_to_try_leaves_the_figures_as_they_are(
    command: Command, sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are drawn anew once there are trials that they don't show."""
    drawn: list[int] = []
    monkeypatch.setattr(runs, "_attach_figures", lambda _, stored: drawn.append(len(stored.trials)))
    for trials in ("4", "4", "5"):
        assert command("run", str(sweep), "--trials", trials)[0] == 0
    assert drawn == [4, 5]


def test_a_sweep_of_one_configuration_says_that_nothing_was_searched(command: Command, sweep: Path) -> None:
    """As that of an exported bundle: there is no setting to tell of the best."""
    fixed = ["space.learning_rate=0.001", "space.depth=1", "budget.trials=1", "sampler.name=random"]
    code, out, err = command("run", str(sweep), *(part for one in fixed for part in ("--set", one)))
    assert code == 0
    assert ": 1 trial in all, " in err
    assert "Trial 0: nothing was searched." in out


def test_without_a_complete_trial_no_confirmation_or_export_is_advised(
    command: Command, sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To confirm or export it is no next step: both would be refused."""

    class Failing:
        def fit(self, job: TrialJob) -> Iterator[Started | EpochScores]:
            yield Started(job.trial, n_parameters=1000)
            raise TrialError("it fails")

    follow(monkeypatch, Failing())
    _, out, err = command("run", str(sweep), "--storage", "sqlite:///mine.db")
    assert "0 complete" in out
    following = "Next: fmnist-sweep trials tiny --storage sqlite:///mine.db  (why no trial is complete)"
    assert following in err.splitlines()
    assert "confirm" not in out + err
    assert "export" not in out + err


def test_trials_is_a_total(command: Command, swept: Path) -> None:
    """Running a finished study again trains nothing and says so; a larger total adds the difference."""
    code, out, err = command("run", str(swept))
    assert (code, "4 complete" in out) == (0, True)
    told = "The study was finished: nothing was trained. --trials is a total: more than 4 goes on."
    assert told in err.splitlines()
    _, out, err = command("run", str(swept), "--trials", "6")
    assert "6 complete" in out
    assert "finished" not in err


def test_a_finished_study_starts_no_process(
    command: Command, swept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told at once: no fork server, which would load TensorFlow, is started for it."""
    monkeypatch.setattr(runner, "open_engine", open_engine)
    monkeypatch.setattr(fork_server, "ensure_running", lambda: pytest.fail("it was started"))
    assert command("run", str(swept))[0] == 0


def test_trials_of_another_study_are_brought_over(command: Command, swept: Path) -> None:
    """They count towards the total and are told; the refusal of a changed score names the way."""
    changed = ["run", str(swept), "--set", "score.penalty=0"]
    _, _, err = command(*changed)
    assert "Or bring its trials over to a new study: --study NEW --import-from tiny" in err
    code, out, err = command(*changed, "--study", "plain", "--import-from", "tiny", "--trials", "6")
    assert code == 0
    assert "From study 'tiny': 4 trials imported." in err
    assert "6 complete" in out
    _, out, _ = command("trials", "plain", "--json")
    assert all(trial["score"] == trial["val_accuracy"] for trial in json.loads(out)["trials"])
    code, _, err = command(*changed, "--study", "plain", "--import-from", "tiny", "--trials", "6")
    assert "From study 'tiny': 0 trials imported; left out: 4 equal to one that is here." in err


@pytest.mark.usefixtures("swept", "drawn")
@pytest.mark.slow
def test_confirm_trains_the_best_anew_and_says_who_won(command: Command) -> None:
    """No sweep file is needed; a finished confirmation is printed again and trains nothing."""
    code, out, err = command("confirm", "tiny", "--top", "2", "--repeats", "2")
    assert code == 0
    assert err.startswith("Study 'tiny-confirm' in sqlite:///studies.db: 6 trials in all, ")
    assert "your baseline" in out
    code, again, err = command("confirm", "tiny", "--top", "2", "--repeats", "2")
    assert (code, again) == (0, out)
    told, following = err.splitlines()
    assert told == "The confirmation was finished: nothing was trained. More --repeats add to it."
    assert following.startswith("Next: fmnist-sweep export tiny  (the winner as a bundle to take home")
    _, out, _ = command("confirm", "tiny", "--top", "2", "--repeats", "3", "--json")
    assert [r["repeat"] for r in json.loads(out)["repeats"]] == [0, 0, 0, 1, 1, 1, 2, 2, 2]


@pytest.mark.usefixtures("swept")
def test_a_finished_confirmation_starts_nothing(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither data nor the model are looked for: it is printed though both are gone."""
    command("confirm", "tiny", "--top", "1", "--repeats", "2")
    monkeypatch.setattr(data, "open_data", lambda *_args, **_kwargs: pytest.fail("it was opened"))
    monkeypatch.setattr(runner, "open_engine", lambda *_args, **_kwargs: pytest.fail("it was started"))
    assert command("confirm", "tiny", "--top", "1", "--repeats", "2")[0] == 0


@pytest.mark.usefixtures("swept")
def test_confirm_refuses_what_it_cannot_do(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2 with a message, and no linked study is left behind."""
    monkeypatch.setattr(runner, "open_engine", lambda *_args, **_kwargs: pytest.fail("it was started"))
    code, _, err = command("confirm", "tiny", "--top", "0", "--repeats", "1")
    assert (code, err.count("\n")) == (2, 3)
    code, _, err = command("confirm", "tiny", "--top", "9")
    assert (code, "distinct complete configurations: " in err) == (2, True)
    code, _, err = command("confirm", "tinny")
    assert (code, err) == (2, "no study 'tinny'; did you mean 'tiny'? (there are tiny)\n")
    code, _, err = command("confirm", "tiny", "--workers", "1000")
    assert (code, "--workers: 1000 can't be used" in err) == (2, True)
    changed = DataRef("fashion-mnist", "0ff" * 21, (28, 28, 1), tuple("abcdefghij"), 60_000, "/nowhere")
    monkeypatch.setattr(data, "open_data", lambda *_args, **_kwargs: changed)
    code, _, err = command("confirm", "tiny", "--top", "1")
    assert (code, "study 'tiny' was run on other data" in err) == (2, True)
    _, out, _ = command("status", "--json")
    assert [study["name"] for study in json.loads(out)["studies"]] == ["tiny"]


@pytest.mark.usefixtures("swept")
def test_sizes_of_a_confirmation_have_limits(command: Command) -> None:
    """All that is wrong with the options at once."""
    code, _, err = command("confirm", "tiny", "--top", "1", "--repeats", "999999999", "--max-retries", "-1")
    assert (code, "at most 1,000" in err, "--max-retries: -1" in err) == (2, True, True)


@pytest.mark.usefixtures("swept")
def test_what_decides_a_confirmation_has_limits(command: Command) -> None:
    """Chances and distances that are none, each in a line with what is allowed."""
    code, _, err = command("confirm", "tiny", "--sure", "1", "--within", "-1")
    assert (code, err.count("\n")) == (2, 3)
    assert "--sure: 1 can't be taken; from 0.5" in err
    assert "--within: -1 can't be taken; from 0 to 100" in err
    assert command("confirm", "tiny", "--prefer", "largest")[0] == 2


@pytest.mark.usefixtures("swept")
@pytest.mark.slow
def test_a_thorough_confirmation_comes_to_its_end_at_once(command: Command) -> None:
    """The pick is trained on beside the baseline by the same command, and what decides is kept."""
    code, out, _ = command("confirm", "tiny", "--top", "1", "--thorough")
    assert code == 0
    assert "It was picked on 4 repeats, and compared with the baseline on 8 others." in out
    code, again, err = command("confirm", "tiny", "--top", "1")
    assert (code, again) == (0, out)
    assert err.startswith("The confirmation was finished: nothing was trained.")


def test_options_are_told_with_the_file(command: Command, tmp_path: Path) -> None:
    """Before a model is discovered, which takes seconds."""
    file = tmp_path / "s.toml"
    file.write_text('study = "s"\nmodel = "nowhere:Net"\n[space]\nepochs = 0\n', encoding="utf-8")
    code, _, err = command("run", str(file), "--workers", "0", "--trials", "99999999999")
    assert (code, err.splitlines()[0]) == (2, f"{file}: 3 problems")
    assert "nowhere" not in err


def test_an_argument_that_is_no_text_is_told(command: Command) -> None:
    """What a terminal of another encoding gives is neither stored nor looked up."""
    code, _, err = command("trials", "\udcff")
    assert (code, err) == (2, "\\udcff: is not UTF-8; type it in the encoding of the terminal\n")


@pytest.mark.slow
@pytest.mark.usefixtures("swept")
def test_a_model_that_is_gone_is_refused(command: Command, tmp_path: Path) -> None:
    """A user's model is looked for before anything is trained, and the message names it."""
    study = optuna.load_study(study_name="tiny", storage=f"sqlite:///{tmp_path / 'studies.db'}")
    study.set_user_attr("config", {**study.user_attrs["config"], "model": "gone_away:Model"})
    code, _, err = command("confirm", "tiny", "--top", "1")
    assert (code, "gone_away" in err) == (2, True)


@pytest.mark.slow
def test_compare_sets_studies_side_by_side(command: Command, swept: Path) -> None:
    """Confirmed or not is told; one study is nothing to compare."""
    command("run", str(swept), "--study", "other", "--set", "sampler.seed=1")
    command("confirm", "tiny", "--top", "1", "--repeats", "2")
    code, out, err = command("compare", "tiny", "other")
    assert (code, "other is unconfirmed" in out) == (0, True)
    assert err.startswith("Next: fmnist-sweep confirm other  (")
    _, out, _ = command("compare", "tiny", "other", "--json")
    assert [s["confirmed"] for s in json.loads(out)["studies"]] == [True, False]
    code, _, err = command("compare", "tiny")
    assert (code, err) == (2, "compare: 1 problem\n  give the names of two studies or more\n")


@pytest.mark.usefixtures("swept")
def test_status_as_json_holds_the_best_trial(command: Command) -> None:
    """A script reads the number of trials, best score, val accuracy and gap of each study."""
    code, out, _ = command("status", "--json")
    (study,) = json.loads(out)["studies"]
    assert code == 0
    assert (study["name"], study["complete"], study["n_trials"]) == ("tiny", 4, 4)
    assert study["score"] == pytest.approx(study["val_accuracy"] - max(0, study["gap"] - 0.01))


@pytest.mark.usefixtures("swept")
def test_status_is_a_table_for_people(command: Command) -> None:
    """Each study has a row."""
    _, out, err = command("status")
    assert out.splitlines()[1].split()[:2] == ["tiny", "4"]
    assert err.startswith("Next: fmnist-sweep trials tiny  (")


@pytest.mark.usefixtures("swept")
def test_trials_as_csv_and_json_agree(command: Command) -> None:
    """Both forms list every trial with its state and its score."""
    _, out, _ = command("trials", "tiny", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    _, out, _ = command("trials", "tiny", "--json")
    values = json.loads(out)["trials"]
    assert [row["state"] for row in rows] == ["COMPLETE"] * 4
    assert [float(row["score"]) for row in rows] == pytest.approx([value["score"] for value in values])


def test_epochs_count_from_1_wherever_they_are_read(command: Command, sweep: Path) -> None:
    """In the tables, as CSV and as JSON: the best of three epochs, the last one, is 3 in all of them."""
    command("run", str(sweep), "--set", "score.penalty=0")
    (row, *_) = csv.DictReader(io.StringIO(command("trials", "tiny", "--csv")[1]))
    told = [row["epoch"], json.loads(command("trials", "tiny", "--json")[1])["trials"][0]["epoch"]]
    told.append(json.loads(command("status", "--json")[1])["studies"][0]["epoch"])
    table = command("trials", "tiny")[1].splitlines()
    told.append(table[1].split()[table[0].split().index("epoch") - 1])
    assert told == ["3", 3, 3, "3"]


def test_the_best_configuration_is_a_sweep_file_that_runs(command: Command, swept: Path) -> None:
    """The same as JSON; another trial by its number; one that is not there is told."""
    code, text, _ = command("best", "tiny")
    facts = json.loads(command("best", "tiny", "--json")[1])
    assert code == 0
    assert facts["confirmed"] is False
    assert "Unconfirmed" in facts["chosen"]
    Path("best.toml").write_text(text)
    assert command("run", "best.toml")[0] == 0
    (row,) = json.loads(command("trials", "tiny-best", "--json")[1])["trials"]
    assert row["params_learning_rate"] == facts["hyperparameters"]["learning_rate"]
    assert row["n_epochs"] == facts["epochs"]
    assert json.loads(command("best", "tiny", "--trial", "2", "--json")[1])["trial"] == 2
    assert command("best", "tiny", "--trial", "99")[0] == 2
    assert swept.exists()


@pytest.mark.usefixtures("swept")
def test_trials_are_sorted_filtered_and_cut(command: Command) -> None:
    """In every form; what exclude each other, and what is not there, is told."""
    best = json.loads(command("trials", "tiny", "--json", "--sort", "score", "--top", "2")[1])["trials"]
    assert len(best) == 2
    assert best[0]["score"] >= best[1]["score"]
    few = ["--columns", "number,score", "--where", "score > 0", "--sort", "-number"]
    assert command("trials", "tiny", "--csv", *few)[1].splitlines()[:2] == [
        "number,score",
        f"3,{json.loads(command('trials', 'tiny', '--json')[1])['trials'][3]['score']}",
    ]
    assert command("trials", "tiny", *few)[1].split()[:3] == ["number", "score", "3"]
    assert command("trials", "tiny", "--top", "1", "--wide")[1].splitlines()[1].split()[0] == "0"
    assert command("trials", "tiny", "--wide", "--csv")[0] == 2
    code, _, err = command("trials", "tiny", "--sort", "scor")
    assert code == 2
    assert "--sort: no column 'scor'; did you mean 'score'?" in err


@pytest.mark.usefixtures("swept")
def test_trials_as_a_table_shows_what_varies(command: Command) -> None:
    """Parameters that vary have a column; fixed ones have none."""
    _, out, _ = command("trials", "tiny")
    assert "learning_rate" in out
    assert "optimizer" not in out


@pytest.mark.usefixtures("finals")
@pytest.mark.parametrize("default", [True, False])
def test_what_another_tool_told_breaks_no_command(command: Command, swept: Path, default: bool) -> None:
    """It is listed, never a winner, and each command that ranks says how many were left out and why."""
    study = optuna.load_study(study_name="tiny", storage="sqlite:///studies.db")
    if default:
        study.set_user_attr("default_trial", tell_from_elsewhere(study, 0.999))
    tell_from_elsewhere(study, 0.998)
    n = "2 complete trials were" if default else "1 complete trial was"
    note = f"{n} told by another tool, without a learning curve: listed, but in no ranking."
    commands = [["status"], ["trials", "tiny"], ["run", str(swept)], ["export", "tiny", "--repeats", "1"]]
    for arguments in commands:
        code, out, err = command(*arguments)
        assert (code, (out + err).count(note)) == (0, 1), arguments
    assert command("confirm", "tiny", "--top", "1", "--repeats", "2")[0] == 0
    assert len(json.loads(command("trials", "tiny", "--json")[1])["trials"]) == 4 + 1 + default


@pytest.mark.usefixtures("drawn")
@pytest.mark.slow
def test_what_another_tool_told_is_left_out_of_comparison_and_report(command: Command, swept: Path) -> None:
    """Whatever is drawn beside them says so too."""
    command("run", str(swept), "--study", "other", "--trials", "1")
    tell_from_elsewhere(optuna.load_study(study_name="tiny", storage="sqlite:///studies.db"), 0.998)
    note = "1 complete trial was told by another tool, without a learning curve: listed, but in no ranking."
    code, out, err = command("compare", "tiny", "other")
    assert (code, (out + err).count(note)) == (0, 1)
    assert command("report")[0] == 0
    assert note in Path("report/index.html").read_text()


@pytest.fixture
def finals(monkeypatch: pytest.MonkeyPatch) -> FinalTrainer:
    """Final trainings and a test set from a script, and no picture drawn."""
    finals = FinalTrainer()

    def engine(*_: Any, places: Places, trainer: str = KERAS_TRAINER, **__: Any) -> InlineEngine:
        return InlineEngine(Reader() if trainer == TEST_READER else finals, places=places)

    monkeypatch.setattr(exporting, "open_engine", engine)
    draw_nothing(monkeypatch)
    return finals


@pytest.mark.usefixtures("swept", "drawn")
def test_export_writes_a_bundle_whose_configuration_runs(command: Command, finals: FinalTrainer) -> None:
    """It says that the choice is unconfirmed; the exported configuration is accepted and trains one trial."""
    code, out, err = command("export", "--output", "out", "--repeats", "2")
    assert (code, out) == (0, "out/tiny\n")
    assert "Unconfirmed" in err
    told, following = err.splitlines()[-2:]
    assert "Over 2 trainings with fresh seeds: validation accuracy" in told
    assert "The test set was read once." in told
    assert following.startswith("Next: fmnist-sweep predict out/tiny IMAGES.npy  (")
    assert len(finals.trained) == 2
    assert list(Path().glob("studies.db.artifacts/*"))
    code, out, _ = command("run", "out/tiny/config.toml")
    assert (code, "1 complete" in out) == (0, True)


@pytest.mark.usefixtures("swept")
def test_observers_are_told_of_a_bundle(
    command: Command,
    finals: FinalTrainer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once it is there; one that there is not is refused before anything is trained."""
    told: list[Any] = []
    monkeypatch.setattr(Observer, "on_export", lambda _, *what: told.append(what))
    code, _, err = command("export", "tiny", "--observe", "jsonnl")
    assert (code, "did you mean 'jsonl'?" in err, finals.trained) == (2, True, [])
    assert command("export", "tiny", "--repeats", "1", "--observe", "jsonl")[0] == 0
    assert told == [("tiny", Path("exports/tiny"))]


@pytest.mark.usefixtures("swept")
def test_export_again_and_of_another_trial(command: Command, finals: FinalTrainer) -> None:
    """The same bundle is left as it is; another trial's would be a second reading, which is refused."""
    command("export", "tiny")
    code, out, err = command("export", "tiny")
    assert (code, out) == (0, "exports/tiny\n")
    assert "nothing was trained or read" in err
    code, out, err = command("export", "tiny", "--trial", "3")
    assert (code, out) == (2, "")
    assert "the test set was read once" in err
    code, out, _ = command("export", "tiny", "--trial", "3", "--again")
    assert (code, out) == (0, "exports/tiny-trial-3\n")
    assert len(finals.trained) == 10


@pytest.mark.usefixtures("swept")
def test_an_interrupted_export_ends_like_an_interrupted_sweep(
    command: Command,
    finals: FinalTrainer,  # noqa: ARG001 - nothing trains in earnest
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C is no mistake: exit code 130, and it is said how much is kept."""
    pressed = threading.Event()
    pressed.set()
    monkeypatch.setattr(exporting, "stop_signals", lambda *_, **__: nullcontext(pressed))
    code, out, err = command("export", "tiny", "--workers", "1")
    told = "interrupted; 0 of 5 trainings are kept; go on with: fmnist-sweep export tiny --workers 1"
    assert (code, out, err.splitlines()[-1]) == (130, "", told)


@pytest.mark.usefixtures("swept")
def test_report_writes_the_page_it_names(command: Command) -> None:
    """The printed path is that of a page which names the study."""
    code, out, _ = command("report", "--output", "r/page.html")
    assert code == 0
    assert "tiny" in Path(out.strip()).read_text()


@pytest.mark.usefixtures("swept")
def test_backup_prints_the_copy_it_made(command: Command) -> None:
    """The printed path is that of a storage with the same trials; a second one needs --force."""
    code, out, err = command("backup", "copy.db")
    assert (code, out, err.splitlines()[0]) == (0, "copy.db\n", "Copied; studies: 1, trials: 4.")
    assert "Next: fmnist-sweep status --storage sqlite:///copy.db" in err
    assert command("backup", "copy.db")[0] == 2
    assert command("backup", "copy.db", "--force")[0] == 0
    here = command("trials", "tiny", "--csv")
    assert command("trials", "tiny", "--csv", "--storage", "sqlite:///copy.db") == here


def test_validate_tells_what_a_file_asks_for(command: Command, sweep: Path) -> None:
    """Space, size, weights and budget, for people and for scripts."""
    code, out, _ = command("validate", str(sweep))
    assert code == 0
    assert "budget: 4 trials" in out
    _, out, _ = command("validate", str(sweep), "--json")
    (told,) = json.loads(out)["sweeps"]
    assert (told["searched"], told["size"]) == (["learning_rate", "depth"], None)
    assert told["n_parameters"][0] < told["n_parameters"][1]


def test_validate_prints_each_parameter(command: Command, tmp_path: Path) -> None:
    """Its type, from where to where it goes or its choices, and where it exists at all."""
    path = tmp_path / "known.toml"
    path.write_text(KNOWN)
    code, out, _ = command("validate", str(path))
    assert code == 0
    rows = {name: cells for name, *cells in (re.split(r" {2,}", line.strip()) for line in out.splitlines())}
    expected = {
        "learning_rate": ["float", "1e-05 to 0.01, log"],
        "activation": ["choice", "relu, tanh"],
        "dropout": ["float", "0 to 0.5, step 0.25"],
        "batch_norm": ["fixed", "True", "optimizer in ['adam', 'sgd']"],
        "depth": ["int", "1 to 3"],
        "units_1": ["fixed", "300"],
        "units_2": ["int", "16 to 1024, log", "depth in [2, 3]"],
        "units_3": ["fixed", "100", "depth in [3]"],
    }
    assert {name: rows[name] for name in expected} == expected


def test_what_is_worth_knowing_of_the_data_is_told_before_a_run(command: Command, sweep: Path) -> None:
    """By ``run`` and by ``validate``, in the same line; to a script as well."""
    note = "training.n_probe is 60,000; all 55,000 training images measure the train scores"
    probe = ("--set", "training.n_probe=60000")
    assert command("run", str(sweep), *probe)[2].startswith(f"Note: {note}.\nStudy 'tiny' in ")
    assert f"\nNote: {note}.\n" in command("validate", str(sweep), *probe)[1]
    (told,) = json.loads(command("validate", str(sweep), *probe, "--json")[1])["sweeps"]
    assert told["notes"] == [note]


def test_validate_reports_every_file(command: Command, sweep: Path) -> None:
    """A wrong file does not keep the right ones from being printed; the exit code tells."""
    code, out, err = command("validate", "missing.toml", str(sweep))
    assert code == 2
    assert "study 'tiny'" in out
    assert "missing.toml: 1 problem\n  no such file" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "missing.toml"], "no such file"),
        (["run", "tiny.toml", "--trials", "0"], "budget.trials: must be at least 1, got 0"),
        (["run", "tiny.toml", "--timeout", "0"], "budget.seconds: must be above 0, got 0.0"),
        (["run", "tiny.toml", "--workers", "0"], "--workers: 0 can't be used; from 1 to"),
        (["run", "tiny.toml", "--workers", "10000"], "--workers: 10000 can't be used; from 1 to"),
        (["run", "tiny.toml", "--engine", "rai"], "engine.name: unknown 'rai'; did you mean 'ray'?"),
        (["run", "tiny.toml", "--address", "head:1"], "engine.address: 'local' runs on this machine"),
        (["confirm", "tiny", "--address", "head:1"], "engine.address: 'local' runs on this machine"),
        (["export", "tiny", "--address", "head:1"], "engine.address: 'local' runs on this machine"),
        (["run", "tiny.toml", "--checkpoint-storage", "file:///x"], "'local' keeps checkpoints beside the"),
        (["confirm", "tiny", "--checkpoint-storage", "file:///x"], "'local' keeps checkpoints beside the"),
        (["export", "tiny", "--checkpoint-storage", "file:///x"], "'local' keeps checkpoints beside the"),
        (["run", "tiny.toml", "--trials-per-gpu", "2"], "'local' shares this machine's GPUs out among"),
        (["export", "tiny", "--trials-per-gpu", "2"], "'local' shares this machine's GPUs out among"),
        (["run", "tiny.toml", "--engine", "ray", "--trials-per-gpu", "-1"], "must be at least 0, got -1"),
        (
            ["confirm", "tiny", "--engine", "ray", "--trials-per-gpu", "101"],
            "101 can't be used; from 1 to 100, or 0",
        ),
        (
            ["run", "tiny.toml", "--engine", "ray", "--checkpoint-storage", "/x"],
            "'/x' is no address of a folder",
        ),
        (["export", "tiny", "--engine", "rai"], "engine.name: unknown 'rai'; did you mean 'ray'?"),
        (["run", "tiny.toml", "--engine", "ray", "--address", "h"], "engine.address: 'h' is no address"),
        (["run", "tiny.toml", "--engine", "ray", "--workers", "0"], "--workers: 0 can't be used; from 1 up"),
        pytest.param(
            ["run", "tiny.toml", "--engine", "ray", "--address", "127.0.0.1:1"],
            "nothing answers at 127.0.0.1:1",
            marks=pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed"),
        ),
        (["run", "tiny.toml", "--set", "score"], "write it as section.key=value"),
        (["run", "tiny.toml", "--set", "pruner.name=medain"], "did you mean 'median'?"),
        (["run", "tiny.toml", "--storage", "studies.db"], "write it as sqlite:///FILE.db"),
        (["run", "tiny.toml", "--import-from", "old"], "studies.db does not exist; run a sweep first"),
        (["run", "tiny.toml", "--storage", "sqlite:///no/studies.db"], "does not exist; make it"),
        (["status"], "studies.db does not exist; run a sweep first"),
        (["trials", "tiny"], "studies.db does not exist; run a sweep first"),
        (["report"], "studies.db does not exist; run a sweep first"),
        (["export"], "studies.db does not exist; run a sweep first"),
        (["backup"], "studies.db does not exist; run a sweep first"),
        (["dashboard"], "studies.db does not exist; run a sweep first"),
    ],
)
def test_mistakes_end_with_a_message_and_code_2(
    command: Command, sweep: Path, arguments: list[str], message: str
) -> None:
    """A user's mistake is told in words, without a traceback, and makes no study."""
    assert sweep.exists()
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert not Path("studies.db").exists()


@pytest.mark.usefixtures("swept")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trials", "tny"], "no study 'tny'; did you mean 'tiny'? (there are tiny)"),
        (["trials", "tiny", "--csv", "--json"], "exclude each other"),
        (["export", "tiny", "--trial", "99"], "99"),
        (["export", "--trial", "1"], "--trial needs the name of one study"),
        (["run", "tiny.toml", "--import-from", "tny"], "no study 'tny'; did you mean 'tiny'?"),
        (["run", "tiny.toml", "--import-from", "tiny"], "can't be imported into itself"),
        (["run", "tiny.toml", "--set", "score.penalty=2"], "score.penalty: the study has 1.0, now 2"),
    ],
)
def test_mistakes_change_nothing_stored(command: Command, arguments: list[str], message: str) -> None:
    """A refused command leaves the trials of a study as they were."""
    before = command("trials", "tiny", "--csv")
    code, _, err = command(*arguments)
    assert code == 2
    assert message in err
    assert command("trials", "tiny", "--csv") == before


def let_all_fail(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    """Let every training fail before it starts, its trial named behind the words."""

    class Failing:
        def fit(self, job: TrialJob) -> Iterator[Started | EpochScores]:
            raise ValueError(f"{words} in trial {job.trial}")

    follow(monkeypatch, Failing())


def test_a_model_that_never_builds_ends_the_sweep(
    command: Command, sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five failures in a row end the sweep; with nothing ever trained the first one's reason is told."""
    let_all_fail(monkeypatch, "no such layer")
    code, _, err = command("run", str(sweep), "--trials", "20")
    assert code == 1
    told = "each of the 5 trials failed, so there is no result; the first one: ValueError: no such layer"
    assert err.endswith(f"study 'tiny': {told} in trial 0\n")


def test_trials_tells_why_trials_failed(
    command: Command, sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the table, whole, and each reason once."""
    let_all_fail(monkeypatch, "no [red]layer")
    monkeypatch.setattr("fmnist_sweep.engines.base.one_line", lambda error: str(error)[:-1].strip())
    command("run", str(sweep), "--trials", "3")
    _, out, _ = command("trials", "tiny")
    assert out.endswith("\ntrials 0, 1, 2 failed: no [red]layer in trial\n")


@pytest.mark.parametrize("n", [1, 3])
def test_a_run_whose_every_trial_failed_is_no_success(
    command: Command, sweep: Path, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    """However few they are: the first one's reason and exit code 1, also when the study is run again."""
    let_all_fail(monkeypatch, "no [such] layer")
    for _ in range(2):
        code, out, err = command("run", str(sweep), "--trials", str(n))
        assert (code, f"0 complete, 0 pruned, {n} failed" in out) == (1, True)
        assert err.endswith("the first one: ValueError: no [such] layer in trial 0\n")


def test_five_failures_after_a_success_end_the_sweep(
    command: Command, sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason of the last one."""
    command("run", str(sweep), "--trials", "1")

    let_all_fail(monkeypatch, "no such layer")
    code, _, err = command("run", str(sweep), "--trials", "20")
    assert code == 2
    assert "the last 5 trials all failed; the last one: ValueError: no such layer in trial 5" in err


def test_a_storage_that_is_lost_in_a_sweep_is_told(
    command: Command, sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, say: the database's own words, no traceback, and the same command goes on."""
    stored = HeldStorage.set_trial_state_values

    def full(storage: HeldStorage, trial_id: int, *args: Any, **options: Any) -> bool:
        if trial_id == 3:
            with storage._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA max_page_count = 1")
                connection.exec_driver_sql("CREATE TABLE more AS SELECT randomblob(100000)")
        return stored(storage, trial_id, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(HeldStorage, "set_trial_state_values", full)
        code, _, err = command("run", str(sweep))
    assert code == 2
    assert "sqlite:///studies.db can no longer be used: (sqlite3.OperationalError) database or disk" in err
    assert err.endswith("the same command goes on.\n")
    assert "Traceback" not in err
    code, out, _ = command("run", str(sweep))
    assert (code, "4 complete" in out) == (0, True)


READERS = [["status"], ["trials", "tiny"], ["report"], ["export"], ["dashboard"], ["run", "tiny.toml"]]


@pytest.mark.usefixtures("swept")
@pytest.mark.parametrize("arguments", READERS, ids=" ".join)
def test_a_storage_that_is_lost_while_it_is_read_is_told(
    command: Command, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By every command, in the database's own words and without a traceback."""

    def gone(*_: Any, **__: Any) -> Any:
        error = sqlite3.OperationalError("disk I/O error")
        raise sqlalchemy.exc.OperationalError("SELECT 1", {}, error)

    monkeypatch.setattr(RDBStorage, "get_study_id_from_name", gone)
    # Where `status` can't read the file by itself it asks Optuna.
    monkeypatch.setattr("fmnist_sweep.storage.overview.read_overview", lambda _: None)
    code, _, err = command(*arguments)
    assert code == 2
    assert err.startswith("sqlite:///studies.db can no longer be used: (sqlite3.OperationalError) disk I/O")


@pytest.mark.usefixtures("swept")
@pytest.mark.parametrize(
    "mistake",
    [
        sqlalchemy.exc.ProgrammingError("SELEKT 1", {}, sqlite3.ProgrammingError("syntax error")),
        sqlalchemy.exc.InvalidRequestError("this session is closed"),
        optuna.exceptions.StorageInternalError("nobody knows why"),
    ],
    ids=lambda mistake: type(mistake).__name__,
)
def test_a_bug_is_not_taken_for_a_lost_storage(
    command: Command, mistake: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong statement, a wrong order of calls: it ends in a traceback, as any bug."""

    def wrong(*_: Any, **__: Any) -> Any:
        raise mistake

    monkeypatch.setattr(RDBStorage, "get_study_id_from_name", wrong)
    with pytest.raises(type(mistake)):
        command("trials", "tiny")


def test_the_environment_names_a_storage(
    command: Command, sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no ``--storage`` is given, for all commands alike."""
    monkeypatch.setenv("FMNIST_SWEEP_STORAGE", "sqlite:///elsewhere.db")
    assert command("run", str(sweep), "--trials", "1")[0] == 0
    assert Path("elsewhere.db").exists()
    assert not Path("studies.db").exists()
    _, out, _ = command("status", "--json")
    assert [row["name"] for row in json.loads(out)["studies"]] == ["tiny"]
    assert command("status", "--storage", "sqlite:///studies.db")[0] == 2


def test_help_is_there_for_every_command_and_holds_an_example() -> None:
    """Each command's help ends with a line that can be typed."""
    for info in cli.app.registered_commands:
        assert info.callback is not None
        assert "Example: fmnist-sweep" in (info.callback.__doc__ or "")


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--help"], ["validate", "sweeps/dense.toml"], ["status"]])
def test_light_commands_load_no_tensorflow(arguments: list[str], tmp_path: Path) -> None:
    """What a person does between sweeps answers without TensorFlow."""
    program = (
        "import sys; from fmnist_sweep.cli import main\n"
        f"sys.argv = ['fmnist-sweep', *{arguments!r}]\n"
        "try: main.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'tensorflow', 'keras', 'keras_tuner', 'torch'} & set(sys.modules)\n"
        "print('heavy:', sorted(heavy))"
    )
    environment = {"FMNIST_SWEEP_STORAGE": f"sqlite:///{tmp_path}/none.db"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**environment, "PATH": "", "PYTHONPATH": ":".join(sys.path)},
        cwd=Path(__file__).parent.parent,
    )
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_a_table_is_not_broken_where_no_terminal_limits_it(
    command: Command, sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eighty columns are a terminal's; a pipe has none, and whoever wants them says so."""
    monkeypatch.delenv("COLUMNS", raising=False)
    command("run", str(sweep), "--study", "a-study-with-a-rather-long-name-for-a-table")
    assert "a-study-with-a-rather-long-name-for-a-table" in command("status")[1]
    monkeypatch.setenv("COLUMNS", "60")
    assert "a-study-with-a-rather-long-name-for-a-table" not in command("status")[1]


def test_what_goes_on_can_be_typed_as_it_stands() -> None:
    """With all that decides where and what is run, quoted, and without a password."""
    told = command_line(
        "run",
        "my sweep.toml",
        storage="postgresql+psycopg://me:secret@db/s",
        study="a b",
        trials=None,
        set=["a=1", "b=2"],
    )
    assert told.startswith("run 'my sweep.toml' --study 'a b' --set a=1 --set b=2 --storage ")
    assert "secret" not in told
    told = command_line(
        "run", "dense", storage=DEFAULT_STORAGE, checkpoint_storage="s3://key:secret@bucket/x"
    )
    assert told == "run dense --checkpoint-storage 's3://***@bucket/x'"
    given = ['engine.checkpoint_storage="s3://key:secret@bucket/x"', "space.l2=0", "data=file://a@b:c"]
    for address in (
        "s3://key:hid/den@bucket",
        "s3://bucket/x?secret_key=hidden",
        "postgresql://me:hidden@host",
    ):
        told = command_line("run", "dense", storage=DEFAULT_STORAGE, set=[f"a={address}"])
        assert "den" not in told.removeprefix("run dense")
    told = command_line("run", "dense", storage=DEFAULT_STORAGE, set=given)
    assert shlex.split(told)[3::2] == [given[0].replace("key:secret", "***"), *given[1:]]
    assert command_line("confirm", "dense", storage=DEFAULT_STORAGE, top=3) == "confirm dense --top 3"
    flags = {"data_dir": None, "max_retries": 0, "accept_edited_model": True, "retry_failed": False}
    told = command_line("run", "dense", storage=DEFAULT_STORAGE, **flags)
    assert told == "run dense --max-retries 0 --accept-edited-model"


def test_the_end_of_a_pipe_is_no_abort(
    command: Command, sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Click takes an `EOFError` for Ctrl-D at a prompt, and "Aborted." is all that would be seen."""

    def ends(*_args: object, **_options: object) -> None:
        raise EOFError

    monkeypatch.setattr("fmnist_sweep.config.loading.load_config", ends)
    with pytest.raises(RuntimeError, match="a pipe or a file ended in the middle"):
        command("run", str(sweep))
