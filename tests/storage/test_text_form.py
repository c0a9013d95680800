"""Studies as text: what is written comes back, and stays as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from made_studies import add_confirmation, add_trial, empty_study, fill_study, params_of, stored
from optuna.trial import TrialState

from fmnist_sweep.analysis.confirmations import read_confirmation
from fmnist_sweep.api import keeping
from fmnist_sweep.core.errors import StorageError, StudyReadOnlyError
from fmnist_sweep.export.plan import is_users_sweep, plan_export
from fmnist_sweep.storage.attributes import MACHINE, READ_ONLY
from fmnist_sweep.storage.checking import HALF_LOADED
from fmnist_sweep.storage.opening import open_storage
from fmnist_sweep.storage.studies import require_writable
from fmnist_sweep.storage.text_form import dump, load

ON = {"cpu": "a CPU", "n_cores": 2}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A full study, written as text."""
    made = empty_study(None)
    made.set_user_attr("owner", {"pid": 1})
    fill_study(made)
    path = tmp_path / "kept" / "dense.jsonl"
    assert dump(made, path, machine=ON) == sum(t.state.is_finished() for t in made.trials)
    return path


def told(trial: optuna.trial.FrozenTrial) -> tuple[Any, ...]:
    times = (trial.datetime_start, trial.datetime_complete)
    return trial.state, trial.values, trial.params, trial.user_attrs, trial.intermediate_values, times


def test_what_was_written_comes_back(file: Path, sqlite_storage: optuna.storages.RDBStorage) -> None:
    """Every finished trial with its parameters, curve and times, under a name that says what it is."""
    made = empty_study(None)
    fill_study(made)
    before = [t for t in made.trials if t.state.is_finished()]
    dump(made, file, machine=ON)
    study = load(file, sqlite_storage)
    assert study is not None
    assert study.study_name == "reference-dense"
    assert [told(t) for t in study.trials] == [told(t) for t in before]
    assert [t.distributions for t in study.trials] == [t.distributions for t in before]
    assert study.direction == made.direction
    assert made.user_attrs.items() <= study.user_attrs.items()
    assert study.user_attrs[MACHINE] == ON
    assert study.user_attrs[READ_ONLY] == "brought from dense.jsonl"


def test_a_study_as_text_is_for_those_who_may_read_its_storage(tmp_path: Path, storage_url: str) -> None:
    """Whatever new files are by default."""
    fill_study(empty_study(open_storage(storage_url, create=True)), 2)
    for mode in (0o600, 0o644):
        (tmp_path / "studies.db").chmod(mode)
        ((path, _n),) = keeping.dump(output=tmp_path / "kept", storage=storage_url)
        assert path.stat().st_mode & 0o777 == mode


def test_equal_studies_give_equal_files(file: Path, sqlite_storage: optuna.storages.RDBStorage) -> None:
    """A file that went through a storage is the same line by line but for the study's own name."""
    study = load(file, sqlite_storage)
    assert study is not None
    again = file.with_name("again.jsonl")
    dump(study, again)
    first, *trials = file.read_text("utf-8").splitlines()
    first_again, *trials_again = again.read_text("utf-8").splitlines()
    assert trials == trials_again
    assert json.loads(first) | {"name": "reference-dense"} == json.loads(first_again)
    assert "owner" not in json.loads(first)["user_attrs"]


def test_loading_twice_adds_nothing(file: Path, sqlite_storage: optuna.storages.RDBStorage) -> None:
    """What is there is left alone."""
    first = load(file, sqlite_storage)
    assert first is not None
    n = len(first.trials)
    assert load(file, sqlite_storage) is None
    assert optuna.get_all_study_names(sqlite_storage) == ["reference-dense"]
    assert len(first.trials) == n


@pytest.mark.parametrize("is_marked", [True, False])
def test_a_load_that_was_killed_is_done_again(
    file: Path, sqlite_storage: optuna.storages.RDBStorage, *, is_marked: bool
) -> None:
    """Half a study is replaced by a whole one, also one that was just made and is not yet known as half."""
    half = optuna.create_study(study_name="reference-dense", storage=sqlite_storage, direction="maximize")
    if is_marked:
        half.set_user_attr("loading", True)
        assert stored(half).damaged == (HALF_LOADED,)
    study = load(file, sqlite_storage)
    assert study is not None
    assert len(study.trials) > 0
    assert stored(study).damaged == ()


def test_a_study_of_another_tool_under_that_name_is_left(
    file: Path, sqlite_storage: optuna.storages.RDBStorage
) -> None:
    """What holds anything is no half of a load that was killed."""
    other = optuna.create_study(study_name="reference-dense", storage=sqlite_storage)
    other.enqueue_trial({"x": 1})
    assert load(file, sqlite_storage) is None
    assert len(other.trials) == 1


@pytest.mark.slow
def test_a_confirmation_comes_back_with_its_study(
    tmp_path: Path, sqlite_storage: optuna.storages.RDBStorage
) -> None:
    """The two find each other under their new names."""
    made = empty_study("sqlite://", "dense")
    fill_study(made)
    linked = add_confirmation(made, {"trial 1": [0.91, 0.92], "default": [0.89, 0.90]})
    for study in (made, linked):
        dump(study, tmp_path / f"{study.study_name}.jsonl")
    brought = [load(path, sqlite_storage) for path in sorted(tmp_path.glob("*.jsonl"))]
    swept = next(s for s in brought if s is not None and s.study_name == "reference-dense")
    confirmation = read_confirmation(stored(swept))
    assert confirmation is not None
    assert [c.label for c in confirmation.candidates] == ["trial 1", "default"]


@pytest.mark.slow
def test_no_command_changes_a_reference_study(
    file: Path, tmp_path: Path, sqlite_storage: optuna.storages.RDBStorage
) -> None:
    """It is neither run nor exported, and not among what is exported by default."""
    study = load(file, sqlite_storage)
    assert study is not None
    with pytest.raises(StudyReadOnlyError, match="'reference-dense' is read-only"):
        require_writable(study)
    with pytest.raises(StudyReadOnlyError):
        plan_export(study, output=tmp_path, root=tmp_path)
    assert not is_users_sweep(stored(study))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no study"),
        ('{"format": "another"}\n', "holds no study"),
        ("{", "is damaged"),
        ('{"format": "fmnist-sweep study 1"}\n', "is damaged"),
    ],
)
def test_a_file_that_is_none_is_refused(
    tmp_path: Path, sqlite_storage: optuna.storages.RDBStorage, text: str, said: str
) -> None:
    """With its name, and without a study that is half made."""
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with pytest.raises(StorageError, match=said):
        load(path, sqlite_storage)
    assert optuna.get_all_study_names(sqlite_storage) == []


@pytest.mark.parametrize("text", ["half \ud800", "two\u2028lines\x85of it", "a\x00b\nc"])
def test_any_text_comes_back(text: str, tmp_path: Path) -> None:
    """Whatever an exception said."""
    study = empty_study(None)
    add_trial(study, params_of(0), None, state=TrialState.FAIL, fail_detail=text)
    dump(study, tmp_path / "dense.jsonl")
    back = load(tmp_path / "dense.jsonl", optuna.storages.InMemoryStorage())
    assert back is not None
    assert back.trials[0].user_attrs["fail_detail"] == text


def _direction(lines: list[dict[str, Any]]) -> None:
    lines[0]["direction"] = True


def _no_direction(lines: list[dict[str, Any]]) -> None:
    del lines[0]["direction"]


def _no_settings(lines: list[dict[str, Any]]) -> None:
    del lines[0]["user_attrs"]["config"]


def _report(lines: list[dict[str, Any]]) -> None:
    lines[1]["reports"] = {"a": 1}


def _step(lines: list[dict[str, Any]]) -> None:
    lines[1]["reports"][0] = [2**40, 0.5]


def _parameter(lines: list[dict[str, Any]]) -> None:
    name = next(name for name, (value, _) in lines[1]["params"].items() if isinstance(value, float))
    lines[1]["params"][name][0] = float("inf")


@pytest.mark.parametrize("edit", [_direction, _no_direction, _no_settings, _report, _step, _parameter])
def test_a_file_that_was_edited_is_refused_before_anything_is_made(
    file: Path, sqlite_storage: optuna.storages.RDBStorage, edit: Callable[[list[dict[str, Any]]], None]
) -> None:
    """Whatever in it no study can be made of."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    edit(lines)
    file.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(StorageError, match="is damaged: "):
        load(file, sqlite_storage)
    assert optuna.get_all_study_names(sqlite_storage) == []


def test_a_file_as_windows_writes_it_is_read(file: Path, sqlite_storage: optuna.storages.RDBStorage) -> None:
    """With a byte order mark, and with its ends of lines."""
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert load(file, sqlite_storage) is not None
