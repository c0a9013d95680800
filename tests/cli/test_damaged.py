"""What every command does with a study that somebody edited, beside one that is whole."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Never

import optuna
import pytest
from made_studies import add_confirmation, add_trial, empty_study, params_of, scripted_curve

from fmnist_sweep import data
from fmnist_sweep.reports import dashboard as board
from fmnist_sweep.storage.opening import open_storage

Command = Callable[..., tuple[int, str, str]]

SWEEP: Final = """
study = "{name}"
model = "dense"
[space]
learning_rate = {{ low = 1e-4, high = 1e-2 }}
epochs = 3
[budget]
trials = 1
"""
_OF_STUDY: Final = """
INSERT INTO study_user_attributes (study_id, key, value_json)
SELECT study_id, :key, :value FROM studies WHERE study_name = :study
ON CONFLICT (study_id, key) DO UPDATE SET value_json = :value
"""
_OF_TRIAL: Final = """
UPDATE trial_user_attributes SET value_json = :value
WHERE key = :key AND trial_id =
    (SELECT trial_id FROM trials t JOIN studies s USING (study_id) WHERE study_name = :study AND number = 1)
"""
_OF_ROWS: Final = """
(SELECT trial_id FROM trials t JOIN studies s USING (study_id) WHERE study_name = :study AND number = 1)
"""
_SCORE: Final = f"UPDATE trial_values SET value = :value WHERE trial_id = {_OF_ROWS}"  # noqa: S608 - made here
_NO_SCORE: Final = f"DELETE FROM trial_values WHERE trial_id = {_OF_ROWS}"  # noqa: S608 - as above
_MORE_SCORES: Final = f"""
INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES ({_OF_ROWS}, 1, 0.5, 'FINITE')
"""  # noqa: S608 - as above
_PARAM: Final = f"""
UPDATE trial_params SET param_value = :value WHERE param_name = :key AND trial_id = {_OF_ROWS}
"""  # noqa: S608 - as above
_TIME: Final = f"UPDATE trials SET datetime_start = :value WHERE trial_id = {_OF_ROWS}"  # noqa: S608 - as above
_DIRECTION: Final = """
UPDATE study_directions SET direction = :value
WHERE study_id = (SELECT study_id FROM studies WHERE study_name = :study)
"""

DAMAGES: Final = {
    "a score that is text": ("dense", _SCORE, "", "high", "trial 1: its score is 'high'"),
    "no score": ("dense", _NO_SCORE, "", "", "trial 1: its score is missing"),
    "two scores of one objective": ("dense", _MORE_SCORES, "", "", "trial 1: it has 2 scores"),
    "an infinite parameter": (
        "dense",
        _PARAM,
        "learning_rate",
        float("inf"),
        "trial 1: learning_rate: no finite number was drawn",
    ),
    "a time that is none": ("dense", _TIME, "", "yesterday", "can't be read: "),
    "no direction": ("dense", _DIRECTION, "", "NOT_SET", "its direction is 'NOT_SET'"),
    "a text for settings": ("dense", _OF_STUDY, "config", '"text"', "config: text, not a mapping"),
    "an owner that is no owner": ("dense", _OF_STUDY, "owner", "[4711]", "owner: a list, not a mapping"),
    "a digest that is a number": (
        "dense",
        _OF_STUDY,
        "config_digest",
        "7",
        "config_digest: a number, not text",
    ),
    "a text for a curve": ("dense", _OF_TRIAL, "curve", '"text"', "trial 1: curve: text, not a mapping"),
    "a huge epoch": (
        "dense",
        _OF_TRIAL,
        "epoch",
        "1" + "0" * 400,
        "trial 1: epoch: a number of more than 64 bits, which is too large",
    ),
    "no JSON in a study": ("dense", _OF_STUDY, "data", "{no", "can't be read: "),
    "no JSON in a trial": ("dense", _OF_TRIAL, "seconds", "{no", "can't be read: "),
    "more digits than Python reads": ("dense", _OF_STUDY, "n_repeats", "9" * 5000, "can't be read: "),
    "a confirmation that is none": (
        "dense-confirm",
        _OF_STUDY,
        "candidates",
        '{"a": 1}',
        "candidates: a mapping, not a list",
    ),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage with two whole studies, ``dense`` confirmed."""
    path = tmp_path_factory.mktemp("made") / "studies.db"
    storage = open_storage(f"sqlite:///{path}", create=True)
    for name in ("whole", "dense"):
        study = empty_study(storage, name)
        for i in range(2):
            add_trial(study, params_of(i), scripted_curve(0.88, 0.02 + 0.01 * i, n_epochs=4))
    add_confirmation(study, {"trial 1": [0.9, 0.91], "default": [0.89, 0.9]})
    # All of it goes into the one file.
    storage.remove_session()
    storage.engine.dispose()
    return path


@pytest.fixture
def damage(made: Path, tmp_path: Path) -> Callable[..., None]:
    """Bring the storage here, and write into it."""

    def write(study: str, statement: str, key: str, value: object) -> None:
        shutil.copy(made, tmp_path)
        with sqlite3.connect(tmp_path / "studies.db") as database:
            found = database.execute(statement, {"study": study, "key": key, "value": value})
            assert found.rowcount == 1
        database.close()

    return write


class _ServedError(Exception):
    """The dashboard would be served now."""


def _serve(*_: Any, **__: Any) -> Never:
    raise _ServedError


@pytest.fixture(autouse=True)
def nothing_heavy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is damaged is said before any data are opened."""
    monkeypatch.setattr(data, "open_data", lambda *_args, **_options: pytest.fail("data were opened"))
    monkeypatch.setattr(board, "make_app_server", _serve)


def contents(path: Path) -> list[str]:
    """Return all that a database holds."""
    database = sqlite3.connect(path)
    lines = list(database.iterdump())
    database.close()
    return lines


@pytest.mark.parametrize("name", DAMAGES)
def test_every_command_lists_a_damaged_study_and_passes_by(
    name: str, command: Command, damage: Callable[..., None], tmp_path: Path
) -> None:
    """The reason is told, the other study is used, and what is stored stays as it is."""
    *place, told = DAMAGES[name]
    damage(*place)
    bad, before = place[0], contents(tmp_path / "studies.db")
    for study in ("new", "dense"):
        Path(f"{study}.toml").write_text(SWEEP.format(name=study))

    code, out, _ = command("status")
    assert code == 0
    assert f"{bad} is damaged, and no other command uses it: " in out
    assert told in out
    rows = {row["name"]: row for row in json.loads(command("status", "--json")[1])["studies"]}
    assert told in rows[bad]["damaged"]
    assert rows[bad]["best_trial"] is rows[bad]["score"] is None
    assert ("damaged" in rows["whole"], rows["whole"]["best_trial"]) == (False, 0)

    code, out, err = command("trials", bad)
    assert (code, told in err) == (0, True)
    code, out, _ = command("trials", bad, "--json")
    assert (code, isinstance(json.loads(out)["trials"], list)) == (0, True)
    assert command("trials", bad, "--csv")[0] == 0

    for named in (
        ["confirm", "dense", "--top", "1", "--repeats", "2"],
        ["export", "dense"],
        ["dump", "dense"],
        *([["run", "dense.toml"], ["run", "new.toml", "--import-from", "dense"]] if bad == "dense" else []),
    ):
        code, out, err = command(*named)
        assert (code, out) == (2, ""), named
        assert f"study '{bad}' is damaged; nothing was done with it:" in err
        assert told in err
    code, out, err = command("compare", "whole", "dense")
    assert (code, out) == (2, "")
    assert told in err

    assert command("backup", "copy.db")[0] == 0
    assert contents(tmp_path / "studies.db") == before
    _, out, err = command("dump", "--output", "kept")
    assert f"study '{bad}' is damaged and passed by: " in err
    assert "kept/whole.jsonl: 2 trials" in out
    assert ("kept/dense.jsonl" in out) == (bad != "dense")
    assert not Path(f"kept/{bad}.jsonl").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a text for a curve", "no JSON in a study", "a confirmation that is none"])
def test_pages_name_a_damaged_study_and_show_the_others(
    name: str, command: Command, damage: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """The report lists it; the dashboard says so before it is served."""
    *place, told = DAMAGES[name]
    damage(*place)
    line = f"study '{place[0]}' is damaged and passed by: "
    code, _, err = command("report", "--output", "page.html")
    assert (code, line in err) == (0, True)
    page = Path("page.html").read_text("utf-8")
    assert '<div class="card" id="damaged">' in page
    assert told.replace("'", "&#39;") in page
    assert "<h2>whole</h2>" in page
    with pytest.raises(_ServedError):
        command("dashboard")
    assert line in capsys.readouterr().err


def test_export_of_all_passes_a_damaged_study_by(
    command: Command, damage: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not keep the others from being exported."""
    monkeypatch.setattr("fmnist_sweep.api.exports.plan", lambda study, **_: pytest.fail(study.study_name))
    damage(*DAMAGES["a text for a curve"][:-1])
    with pytest.raises(pytest.fail.Exception, match="whole"):
        command("export")


def test_a_study_of_several_objectives_is_passed_by(
    command: Command, damage: Callable[..., None], tmp_path: Path
) -> None:
    """Another program may keep one in the same storage; a plain one of it is used as before."""
    damage(*DAMAGES["a text for settings"][:-1])
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    several = optuna.create_study(study_name="several", directions=["maximize", "minimize"], storage=url)
    several.add_trial(optuna.create_trial(values=[0.5, 3.0]))
    optuna.create_study(study_name="plain", storage=url).add_trial(optuna.create_trial(value=0.5))
    _, out, _ = command("status")
    assert "several is damaged, and no other command uses it: it has 2 objectives" in out
    assert "plain is damaged" not in out
    for named in (
        ["compare", "whole", "several"],
        ["confirm", "several"],
        ["export", "several"],
        ["dump", "several"],
    ):
        code, _, err = command(*named)
        assert (code, "it has 2 objectives" in err) == (2, True)
    assert command("trials", "several")[0] == 0
    assert command("trials", "plain")[0] == 0
    assert command("dump", "--output", "kept")[1].count("plain.jsonl: 1 trials") == 1


def test_a_damaged_file_keeps_no_other_from_being_brought_back(
    command: Command, damage: Callable[..., None]
) -> None:
    """It is named with its reason; a study that is there and damaged is as well."""
    damage(*DAMAGES["a confirmation that is none"][:-1])
    command("dump", "whole")
    good = Path("reference/whole.jsonl").read_text("utf-8")
    edited = good.replace('"epoch": 3', '"epoch": "3"')
    assert edited != good
    Path("reference/edited.jsonl").write_text(edited)
    Path("reference/no.jsonl").write_text("[" * 100_000)
    code, out, err = command("load")
    assert code == 2
    assert "reference/whole.jsonl: reference-whole, 2 trials" in out
    assert "reference/edited.jsonl is damaged: trial 0: epoch: text, not a whole number" in err
    assert "reference/no.jsonl is damaged: RecursionError" in err
    with sqlite3.connect("studies.db") as database:
        database.execute(_OF_STUDY, {"study": "reference-whole", "key": "data", "value": "7"})
    database.close()
    code, _, err = command("load", "reference/whole.jsonl")
    assert (code, "study 'reference-whole' is damaged; nothing was done with it" in err) == (2, True)


def test_a_study_that_optuna_can_not_open_is_named(command: Command, damage: Callable[..., None]) -> None:
    """One line, and no word of Optuna's own."""
    damage("dense", _DIRECTION, "", "SIDEWAYS")
    code, out, err = command("trials", "dense")
    assert (code, out) == (2, "")
    assert err.startswith("study 'dense' is damaged, and can't be opened: LookupError: 'SIDEWAYS' is not")
    assert command("trials", "whole")[0] == 0


def test_the_best_of_another_tools_study_has_no_settings(command: Command) -> None:
    """They are what it would be trained with."""
    study = optuna.create_study(study_name="plain", storage="sqlite:///studies.db")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    code, out, err = command("best", "plain")
    assert (code, out) == (2, "")
    assert err == "study 'plain' was not made by fmnist-sweep: its settings are not known\n"


def test_a_name_that_is_given_twice_is_told_before_anything_is_read(command: Command) -> None:
    """There is not even a storage here."""
    code, _, err = command("compare", "dense", "dense")
    assert (code, err.splitlines()) == (
        2,
        ["compare: 2 problems", "  give the names of two studies or more", "  dense: given twice"],
    )


NASTY: Final = "=cmd|' /C calc'!A0 [/x] \\x1b[31m \ud800 \x00" + "x" * 1_000_000


@pytest.mark.slow
def test_foreign_text_is_safe_wherever_it_is_shown(
    command: Command, damage: Callable[..., None], tmp_path: Path
) -> None:
    """A reason, a name, a category: no markup, no escape, no formula, and no end of it."""
    damage(*DAMAGES["a confirmation that is none"][:-1])
    url, name = f"sqlite:///{tmp_path / 'studies.db'}", "[/x]\x1b[31m=1\n:smile:"
    study = empty_study(url, name)
    kind = optuna.distributions.CategoricalDistribution(("=1+1", "[bold]\x1b[2J" + "y" * 100_000))
    for i, value in enumerate(kind.choices):
        params = {**params_of(i), "@kind": value}
        add_trial(
            study,
            params,
            scripted_curve(0.88 + 0.01 * i, 0.02, n_epochs=4),
            distributions={**study_distributions(params), "@kind": kind},
        )
    add_trial(study, params_of(2), None, state=optuna.trial.TrialState.FAIL, fail_reason=NASTY)
    for arguments in (["status"], ["trials", name], ["trials", name, "--csv"], ["compare", "whole", name]):
        code, out, err = command(*arguments)
        assert code == 0, err
        assert "\x1b[31m" not in out
        assert "\x1b[2J" not in out
        assert "\x00" not in out
        assert out.encode()
        assert len(out) < 20_000
    cells = [cell for row in csv.reader(io.StringIO(command("trials", name, "--csv")[1])) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "@"))]
    assert "'=1+1" in cells
    code, _, err = command("report", "--output", "page.html")
    assert code == 0, err
    page = Path("page.html").read_text("utf-8")
    assert "\x1b" not in page
    assert "[/x] \\x1b[31m \\ud800 \\x00" in page
    assert "x" * 5000 not in page


def study_distributions(params: dict[str, Any]) -> dict[str, Any]:
    """Return what the parameters of a made study are drawn from."""
    from made_studies import DISTRIBUTIONS

    return {name: DISTRIBUTIONS[name] for name in params if name in DISTRIBUTIONS}


def test_a_clock_that_was_set_back_gives_no_negative_time(
    command: Command, made: Path, tmp_path: Path
) -> None:
    """Times of training come from a clock that nobody sets; begin and end stand as they are stored."""
    shutil.copy(made, tmp_path)
    with sqlite3.connect("studies.db") as database:
        database.execute("UPDATE trials SET datetime_complete = '2001-01-01 00:00:00.000000'")
    database.close()
    (row, *_) = json.loads(command("status", "--json")[1])["studies"]
    assert row["seconds"] > 0
    told = json.loads(command("trials", "whole", "--json")[1])["trials"]
    assert all(trial["seconds"] > 0 for trial in told)
    assert command("compare", "whole", "dense")[0] == 0
    command("report", "--output", "page.html")
    assert "\N{MINUS SIGN}1 s" not in Path("page.html").read_text("utf-8")
