"""Studies that are deleted or renamed, on each kind of database: all that is theirs, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from made_studies import add_confirmation, add_trial, empty_study, params_of, scripted_curve, stored
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import BaseModel

from fmnist_sweep.analysis.confirmations import read_confirmation
from fmnist_sweep.core.errors import StudyBusyError, SweepError
from fmnist_sweep.core.shared_folder import SharedFolder
from fmnist_sweep.storage import managing
from fmnist_sweep.storage.lease.file_lock import study_lock
from fmnist_sweep.storage.managing import Removal, plan_removal, rename
from fmnist_sweep.storage.opening import artifact_folder, open_storage, shared_name, side_folder
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.studies import load_study, study_names
from fmnist_sweep.storage.writing import write_checkpoint_storage

ELSEWHERE = {"host": "node-b", "boot": "", "pid": 4711, "started": 1.0, "run": "abc"}


def quiet(line: str) -> None:
    """Take a line that nobody reads."""


def address(storage: RDBStorage) -> str:
    """Return the address of a storage, its password included."""
    return storage.engine.url.render_as_string(hide_password=False)


def fill(storage: RDBStorage, name: str) -> optuna.Study:
    """Make a study of two trials with files of each kind beside it."""
    study = empty_study(storage, name)
    for i in range(2):
        add_trial(study, params_of(i), scripted_curve(0.9, 0.01, n_epochs=3))
    url = address(storage)
    for kind, file in (("checkpoints", "trial-2.checkpoint"), ("exports", "c0ffee/curve.json")):
        path = side_folder(url, name, kind=kind) / file
        path.parent.mkdir(parents=True)
        path.write_text(f"{name} {file}")
    shown = {"artifact_id": f"file-of-{name}", "filename": "model.keras"}
    storage.set_study_system_attr(study._study_id, f"artifacts:file-of-{name}", json.dumps(shown))
    storage.set_study_system_attr(study._study_id, "artifacts:gone", json.dumps(None))
    artifact_folder(url).mkdir(parents=True, exist_ok=True)
    (artifact_folder(url) / f"file-of-{name}").write_text(name)
    return study


def fill_all(storage: RDBStorage) -> None:
    """Make ``dense``, its confirmation, and ``other``, a trial of which was imported from it."""
    dense = fill(storage, "dense")
    add_confirmation(dense, {"trial 1": [0.9, 0.91], "default": [0.88, 0.9]})
    origin = {"study": "dense", "trial": 1}
    other = fill(storage, "other")
    add_trial(other, params_of(3), scripted_curve(0.9, 0.01, n_epochs=3), imported_from=origin)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, empty_storage: Path) -> Path:
    """A folder with an SQLite storage and what is beside it, to be copied."""
    folder = tmp_path_factory.mktemp("filled")
    shutil.copy(empty_storage, folder)
    storage = open_storage(f"sqlite:///{folder}/studies.db", create=True)
    fill_all(storage)
    storage.remove_session()
    storage.engine.dispose()
    return folder


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RDBStorage:
    """A storage with the studies of `fill_all`, in each kind of database."""
    if request.param == "sqlite":
        shutil.copytree(request.getfixturevalue("filled"), tmp_path, dirs_exist_ok=True)
        return open_storage(f"sqlite:///{tmp_path}/studies.db", create=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made: RDBStorage = request.getfixturevalue("postgres_storage")
    fill_all(made)
    return made


@pytest.fixture
def url(storage: RDBStorage) -> str:
    """Address of that storage."""
    return address(storage)


def held(storage: RDBStorage, name: str) -> tuple[Any, ...]:
    """Return all that a study holds."""
    study = load_study(storage, name)
    system = storage.get_study_system_attrs(study._study_id)
    return study.user_attrs, system, [(t.state, t.values, t.params, t.user_attrs) for t in study.trials]


def files(url: str) -> set[str]:
    """Return the files beside a storage, from the folder that holds all of them."""
    root = side_folder(url, "").parent
    own = {"studies.db", "studies.db-wal", "studies.db-shm"}
    there = [path for path in root.rglob("*") if path.is_file() and path.name not in own]
    return {str(path.relative_to(root)) for path in there}


def removed(url: str, *names: str, **options: Any) -> list[Removal]:
    """Delete studies."""
    planned = plan_removal(url, names, say=quiet, **options)
    assert managing.remove(url, planned, say=quiet, **options) == ""
    return planned


def test_a_study_is_deleted_with_all_that_is_its_own(storage: RDBStorage, url: str) -> None:
    """Its confirmation, checkpoints, final trainings and files of the dashboard; nothing of another one."""
    others, theirs = held(storage, "other"), {file for file in files(url) if "other" in file}
    planned = removed(url, "dense", "dense")
    assert [(one.name, one.confirms, one.n_trials) for one in planned] == [
        ("dense", None, 2),
        ("dense-confirm", "dense", 4),
    ]
    assert planned[0].n_bytes == {"checkpoints": 24, "exports": 23, "weights": 0}
    assert (planned[0].artifacts, planned[0].artifact_bytes) == (("file-of-dense",), 5)
    assert study_names(storage) == ["other"]
    assert held(storage, "other") == others
    assert files(url) == theirs
    kept = load_study(storage, "other")
    own = {"study_id": {kept._study_id}, "trial_id": {trial._trial_id for trial in kept.trials}}
    with storage.engine.connect() as connection:
        for table in BaseModel.metadata.sorted_tables:
            for column in table.c.keys() & own.keys():
                assert {*connection.scalars(sqlalchemy.select(table.c[column]))} <= own[column], table.name


def test_a_confirmation_is_deleted_alone_where_it_is_named(storage: RDBStorage, url: str) -> None:
    """Its sweep stays, and was never confirmed then."""
    before = held(storage, "dense")
    removed(url, "dense-confirm")
    assert study_names(storage) == ["dense", "other"]
    assert held(storage, "dense") == before
    assert StoredStudy.of(load_study(storage, "dense")).linked is None


def test_a_renamed_study_keeps_what_is_linked_by_its_name(storage: RDBStorage, url: str) -> None:
    """Confirmation, settings, origins of imported trials, and files; all else is as it was."""
    attributes, system, trials = held(storage, "dense")
    before, beside = read_confirmation(StoredStudy.of(load_study(storage, "dense"))), files(url)
    assert rename(url, "dense", "new name", say=quiet) == [
        ("dense", "new name"),
        ("dense-confirm", "new name-confirm"),
    ]
    assert study_names(storage) == ["new name", "new name-confirm", "other"]
    config = {**attributes["config"], "study": "new name"}
    assert held(storage, "new name") == ({**attributes, "config": config}, system, trials)
    stored = StoredStudy.of(load_study(storage, "new name"))
    assert stored.linked is not None
    assert (stored.linked.name, stored.linked.confirms) == ("new name-confirm", "new name")
    after = read_confirmation(stored)
    assert after is not None
    assert before is not None
    assert (after.study, after.standings) == ("new name", before.standings)
    origins = [t.user_attrs.get("imported_from") for t in load_study(storage, "other").trials]
    assert origins == [None, None, {"study": "new name", "trial": 1}]
    assert files(url) == {file.replace("/dense/", "/new name/") for file in beside}
    path = side_folder(url, "new name", kind="exports") / "c0ffee/curve.json"
    assert path.read_text() == "dense c0ffee/curve.json"
    # And back again: there is nothing left that would be in the way.
    rename(url, "new name", "dense", say=quiet)
    assert (held(storage, "dense"), files(url)) == ((attributes, system, trials), beside)


def test_a_sweep_of_the_name_of_a_confirmation_is_nobodys(storage: RDBStorage, url: str) -> None:
    """What it stores decides: it may run, and stays as it is, while the other is renamed and deleted."""
    fill(storage, "cnn")
    load_study(storage, "cnn").set_user_attr("owner", None)
    fill(storage, "cnn-confirm")
    before = held(storage, "cnn-confirm")
    with study_lock(side_folder(url, "cnn-confirm"), "cnn-confirm"):
        assert rename(url, "cnn", "lenet", say=quiet) == [("cnn", "lenet")]
        rename(url, "lenet", "cnn", say=quiet)
        assert [one.name for one in removed(url, "cnn")] == ["cnn"]
    assert held(storage, "cnn-confirm") == before
    assert side_folder(url, "cnn-confirm").is_dir()


def refused(storage: RDBStorage, call: Callable[..., object], *arguments: Any, **options: Any) -> str:
    """Return the message with which a call is refused; nothing may be changed."""
    url, names = address(storage), study_names(storage)
    before = [held(storage, name) for name in names], names, files(url)
    with pytest.raises(SweepError) as caught:
        call(url, *arguments, say=quiet, **options)
    assert ([held(storage, name) for name in names], study_names(storage), files(url)) == before
    return str(caught.value)


def test_all_that_keeps_studies_from_being_deleted_is_told_at_once(storage: RDBStorage, url: str) -> None:
    """One that is not there, one that is read-only and one whose confirmation is running: none is deleted."""
    load_study(storage, "other").set_user_attr("read_only", "brought from other.jsonl")
    folder = side_folder(url, "dense-confirm")
    with study_lock(folder, "dense-confirm"):
        (folder / "trial-0.checkpoint").touch()
        told = refused(storage, plan_removal, ["dens", "other", "dense"]).splitlines()
    assert told[0].startswith("no study 'dens'; did you mean 'dense'? (there are dense, ")
    assert told[1].startswith("study 'other' is read-only (brought from other.jsonl): no command changes it.")
    assert told[1].endswith(" --study-name other")
    assert told[2].startswith(f"study 'dense-confirm' is being run by process {os.getpid()} on ")
    assert told[3:] == ["Nothing was deleted."]


def test_all_that_keeps_a_study_from_being_renamed_is_told_at_once(storage: RDBStorage, url: str) -> None:
    """A name that is taken or not allowed, files that lie in its place, a read-only study, a confirmation."""
    assert refused(storage, rename, "dens", "x").startswith("no study 'dens'; did you mean 'dense'?")
    assert refused(storage, rename, "dense", "other").startswith("study 'other' exists already; ")
    assert refused(storage, rename, "dense", "dense").startswith("study 'dense' exists already; ")
    told = refused(storage, rename, "dense-confirm", "../x").splitlines()
    assert told == [
        "study 'dense-confirm' confirms 'dense'; rename that one, and this goes along",
        "'../x' can't be used as a name; letters, digits, spaces and . _ + - are allowed, at most 100",
    ]
    empty_study(storage, "old-confirm").set_user_attr("confirms", "old")
    assert refused(storage, rename, "dense", "old").startswith("study 'old-confirm' exists already; ")
    assert "confirms an earlier study 'old'" in refused(storage, rename, "other", "old")
    left = side_folder(url, "was", kind="exports") / "c0ffee"
    left.mkdir(parents=True)
    assert refused(storage, rename, "dense", "was").startswith(f"{left.parent} holds files of an earlier")
    load_study(storage, "other").set_user_attr("read_only", "brought from other.jsonl")
    assert "--study NEW --import-from other" in refused(storage, rename, "other", "mine")
    with study_lock(side_folder(url, "free"), "free"):
        assert "study 'free' is being run by process" in refused(storage, rename, "dense", "free")


def test_a_damaged_confirmation_is_not_taken_for_anybodys(storage: RDBStorage, url: str) -> None:
    """It is deleted where it is named; until then its sweep stays."""
    load_study(storage, "dense-confirm").set_user_attr("confirms", ["dense"])
    why = "study 'dense-confirm' is damaged, and does not tell whether it confirms 'dense'"
    assert refused(storage, plan_removal, ["dense"]).startswith(why)
    assert refused(storage, rename, "dense", "new").startswith(why)
    removed(url, "dense", "dense-confirm")
    assert study_names(storage) == ["other"]


def test_a_study_that_cannot_be_read_can_be_deleted(storage: RDBStorage, url: str) -> None:
    """Damaged rows are rows."""
    with storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE study_user_attributes SET value_json = '{' WHERE key = 'config'")
        connection.exec_driver_sql("UPDATE trial_user_attributes SET value_json = 'no'")
    removed(url, "dense")
    assert study_names(storage) == ["other"]


def test_a_study_of_another_tool_is_deleted_and_renamed(storage: RDBStorage, url: str) -> None:
    """Whatever its name: one that leads out of the folder has no files, and none is looked for there."""
    for name in ("../dense", "a/b"):
        optuna.create_study(storage=storage, study_name=name)
    before = files(url)
    removed(url, "../dense")
    rename(url, "a/b", "ab", say=quiet)
    assert study_names(storage) == ["dense", "dense-confirm", "other", "ab"]
    assert files(url) == before


def test_what_was_changed_since_it_was_shown_is_not_deleted(storage: RDBStorage, url: str) -> None:
    """As by a run between the question and the answer."""
    planned = plan_removal(url, ["dense"], say=quiet)
    add_trial(load_study(storage, "dense"), params_of(5), scripted_curve(0.9, 0.01, n_epochs=3))
    told = refused(storage, managing.remove, planned)
    assert told == "The studies were changed meanwhile; nothing was deleted. Try again."


def test_nothing_is_deleted_without_the_backup_that_was_asked_for(storage: RDBStorage, url: str) -> None:
    """What fails before the first row goes leaves all as it is."""
    planned = plan_removal(url, ["dense"], say=quiet)

    def fail() -> None:
        raise SweepError("no space for it")

    assert refused(storage, managing.remove, planned, before=fail) == "no space for it"


def test_a_study_whose_owner_is_elsewhere_is_asked_about(
    sqlite_storage: RDBStorage, storage_url: str
) -> None:
    """In a file nothing can be seen of it; --take-over deletes and renames all the same."""
    for name in ("one", "two"):
        empty_study(sqlite_storage, name).set_user_attr("owner", ELSEWHERE)
    assert "take the study over with --take-over" in refused(sqlite_storage, plan_removal, ["one"])
    with pytest.raises(StudyBusyError, match="take the study over with --take-over"):
        rename(storage_url, "two", "three", say=quiet)
    removed(storage_url, "one", take_over=True)
    rename(storage_url, "two", "three", say=quiet, take_over=True)
    assert study_names(sqlite_storage) == ["three"]


def test_the_file_gets_smaller(sqlite_storage: RDBStorage, storage_url: str, tmp_path: Path) -> None:
    """The space of a deleted study is given back, its share of the write-ahead log as well."""
    empty_study(sqlite_storage, "kept")
    file, log = tmp_path / "studies.db", tmp_path / "studies.db-wal"
    before = file.stat().st_size
    empty_study(sqlite_storage, "large").set_user_attr("note", "x" * 2_000_000)
    removed(storage_url, "large")
    assert file.stat().st_size <= before + 100_000
    assert log.stat().st_size == 0


def test_checkpoints_that_nodes_shared_go_with_their_study(
    sqlite_storage: RDBStorage, storage_url: str, tmp_path: Path
) -> None:
    """Those of its final trainings as well; not where a study has the name by now that it had."""
    files = {}
    for name in ("one", "two"):
        shared = SharedFolder(f"file://{tmp_path}/shared by all", shared_name(storage_url, name))
        replace(shared, inside=f"{shared.inside}/c0ffee").write("trial-0.checkpoint", b"x")
        files[name] = next((tmp_path / "shared by all").rglob(f"{name}/c0ffee/trial-0.checkpoint"))
        study = empty_study(sqlite_storage, name)
        for _ in range(2):
            write_checkpoint_storage(study, shared.record)
        assert stored(study).checkpoint_storage == (str(shared),)
    rename(storage_url, "two", "old", say=quiet)
    empty_study(sqlite_storage, "two")
    planned = removed(storage_url, "one", "old")
    assert [len(one.shared) for one in planned] == [1, 1]
    assert not files["one"].parent.parent.exists()
    assert files["two"].exists()


def test_shared_checkpoints_that_cannot_be_removed_are_told(
    sqlite_storage: RDBStorage, storage_url: str, tmp_path: Path
) -> None:
    """With why; the study is gone all the same."""
    (tmp_path / "file").touch()
    study = empty_study(sqlite_storage, "one")
    inside = shared_name(storage_url, "one")
    for url in (f"file://{tmp_path}/file", "s3://key:secret@bucket/x"):
        write_checkpoint_storage(study, SharedFolder(url, inside).record)
    write_checkpoint_storage(study, "file:///elsewhere/ab/one")
    told: list[str] = []
    managing.remove(storage_url, plan_removal(storage_url, ["one"], say=quiet), say=told.append)
    assert study_names(sqlite_storage) == []
    assert [line.partition(" stay (")[0] for line in told] == [
        f"Checkpoints in file://{tmp_path}/file/{inside}",
        f"Checkpoints in s3://***@bucket/x/{inside}",
        "Checkpoints in file:///elsewhere/ab/one",
    ]
    assert "Not a directory" in told[0]
    assert "its keys and settings are not stored" in told[1]
    assert "under another address of this storage" in told[2]


KILLED = """
import os, signal, sys
from fmnist_sweep.storage.leftovers import no_leftovers
from fmnist_sweep.storage.opening import open_storage
url, *names = sys.argv[1:]
with no_leftovers(url, open_storage(url, create=False), names, ["file-of-gone", "file-of-dense"]):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed(storage: RDBStorage, url: str) -> set[str]:
    """The files of studies beside those of a process that was killed as it deleted ``gone``."""
    before = files(url)
    fill(storage, "gone")
    optuna.delete_study(study_name="gone", storage=storage)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", KILLED, url, "gone", "dense"], check=False, env=environment)
    assert files(url) > before
    return before


@pytest.mark.slow
def test_what_a_killed_process_left_is_removed_by_the_next(url: str, killed: set[str]) -> None:
    """What no study has; files of those that are there stay, whatever the process was about to do."""
    with pytest.raises(SweepError, match="no study 'gone'"):
        plan_removal(url, ["gone"], say=quiet)
    assert files(url) == killed


@pytest.mark.slow
def test_what_a_killed_process_left_is_for_whoever_runs_such_a_study_now(url: str, killed: set[str]) -> None:
    """Its folder is locked, and left alone."""
    with study_lock(side_folder(url, "gone"), "gone"):
        plan_removal(url, ["dense"], say=quiet)
        assert (side_folder(url, "gone") / "trial-2.checkpoint").exists()
    assert files(url) > killed
