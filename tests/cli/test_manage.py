"""The commands delete and rename: what they ask, say and leave."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
import typer
from made_studies import add_confirmation, add_trial, empty_study, params_of, scripted_curve

from fmnist_sweep.api import renaming
from fmnist_sweep.storage.opening import open_storage
from fmnist_sweep.storage.studies import study_names

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def dense(sqlite_storage: optuna.storages.RDBStorage) -> optuna.Study:
    """A study in ``studies.db`` of the current folder, with its confirmation."""
    study = empty_study(sqlite_storage)
    for i in range(2):
        add_trial(study, params_of(i), scripted_curve(0.9, 0.01, n_epochs=3))
    add_confirmation(study, {"trial 1": [0.9, 0.91], "default": [0.88, 0.9]})
    return study


def there(url: str = "sqlite:///studies.db") -> list[str]:
    """Return the studies of a storage."""
    return study_names(open_storage(url, create=False))


def test_delete_makes_a_backup_and_says_where(command: Command, dense: optuna.Study, tmp_path: Path) -> None:
    """It tells what goes before it goes, and the backup holds it."""
    dense.set_user_attr("bundles", [{"folder": "exports/dense"}])
    code, out, err = command("delete", "dense", "--yes")
    assert (code, out.splitlines()) == (0, ["dense: deleted", "dense-confirm: deleted"])
    (backup,) = tmp_path.glob("studies-20*.db")
    assert err.splitlines() == [
        "Study 'dense': 2 trials",
        "  Its bundles stay where they are: exports/dense",
        "Study 'dense-confirm', the confirmation of 'dense': 4 trials",
        f"A backup is in {backup.name}.",
    ]
    assert there() == []
    assert there(f"sqlite:///{backup}") == ["dense", "dense-confirm"]


@pytest.mark.usefixtures("dense")
def test_delete_asks(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever does not say yes, or can't, keeps everything; --no-backup is warned of."""
    code, _, err = command("delete", "dense", "--no-backup")
    assert (code, err) == (
        2,
        "delete asks before it deletes, and there is no terminal to answer in; --yes deletes without\n",
    )
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    answers: list[bool | type[Exception]] = [False, typer.Abort, True]

    def answer(_question: str, *, err: bool) -> bool:
        assert err
        given = answers.pop(0)
        if not isinstance(given, bool):
            raise given
        return given

    monkeypatch.setattr(typer, "confirm", answer)
    for _ in range(2):
        code, out, err = command("delete", "dense", "--no-backup")
        assert (code, out) == (130, "")
        assert err.endswith("There is no way back: no backup is made.\nNothing was deleted.\n")
        assert there() == ["dense", "dense-confirm"]
    assert command("delete", "dense", "--no-backup")[0] == 0
    assert there() == []
    assert not list(tmp_path.glob("studies-20*"))


@pytest.mark.usefixtures("dense")
def test_rename_says_how_to_go_on(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the sweep file, which names the old study still; a name that is taken changes nothing."""
    drawn: list[str] = []
    monkeypatch.setattr(renaming, "attach_figures", lambda study: drawn.append(study.study_name))
    code, out, err = command("rename", "dense", "the first")
    assert (code, out.splitlines()) == (
        0,
        ["dense: is the first now", "dense-confirm: is the first-confirm now"],
    )
    assert err == "To go on with a sweep file that names 'dense': --study 'the first'\n"
    assert there() == drawn == ["the first", "the first-confirm"]
    code, out, err = command("rename", "the first", "the first-confirm")
    assert (code, out) == (2, "")
    assert err.startswith("study 'the first-confirm' exists already; ")


def test_delete_of_studies_in_a_server_writes_them_as_text_first(
    command: Command, tmp_path: Path, dense: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no file to copy; what was deleted can be brought back."""
    monkeypatch.setattr("fmnist_sweep.api.managing.sqlite_path", lambda _url: None)
    code, _, err = command("delete", "dense-confirm", "--yes")
    assert code == 0
    (text,) = tmp_path.glob("deleted-20*/dense-confirm-*.jsonl")
    assert f"A backup is in {text.parent.name}." in err
    assert there() == ["dense"]
    assert command("load", str(text))[0] == 0
    assert there() == ["dense", "reference-dense-confirm"]
    dense.set_user_attr("config", "x" * 10)
    code, _, err = command("delete", "dense", "--yes")
    assert (code, there()) == (0, ["reference-dense-confirm"])
