"""Studies in a real PostgreSQL server; by the fixture `storage`, other tests run on it as well."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import warnings
from pathlib import Path
from urllib.request import urlopen

import optuna
import pytest
from postgres import SECRET, Server

from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.storage.opening import open_storage
from fmnist_sweep.storage.studies import study_names

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent


def refused(url: str, *, create: bool = True) -> str:
    """Return the message with which opening is refused: one line without the password."""
    with warnings.catch_warnings():
        # Optuna leaves the connection of a storage that it refuses to be collected.
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(StorageError) as caught:
            open_storage(url, create=create)
        message = str(caught.value)
        del caught
        gc.collect()
    assert SECRET not in message
    assert "\n" not in message
    assert "postgresql+psycopg://me:***@127.0.0.1:" in message
    return message


def test_what_keeps_a_server_from_being_used_is_told(postgres: Server) -> None:
    """No server, no such database, a wrong password: each in the server's words, with the address."""
    with_nobody = postgres.url("empty", port=1)
    assert "connection refused" in refused(with_nobody).lower()
    assert 'database "nosuch" does not exist' in refused(postgres.url("nosuch"))
    assert 'password authentication failed for user "me"' in refused(postgres.url("empty", password="x"))  # noqa: S106


def test_a_database_without_studies_is_left_as_it_is(postgres: Server) -> None:
    """Looking makes no tables; a sweep makes them beside those of another program."""
    import psycopg

    url = postgres.make("bookmarks")
    address = url.replace("+psycopg", "")
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
        assert "holds no studies yet; run a sweep first" in refused(url, create=False)
        assert connection.execute(tables).fetchall() == [("bookmarks",)]
        storage = open_storage(url, create=True)
        assert study_names(storage) == []
        storage.remove_session()
        storage.engine.dispose()
        connection.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    assert "holds tables of another Optuna version" in refused(url)


def test_long_and_strange_values_come_back_as_they_went(postgres_storage: optuna.storages.RDBStorage) -> None:
    """A long curve, a log with a NUL, numbers of full precision: nothing is cut or rounded."""
    values = {
        "curve": {"val_accuracy": [i / 7 for i in range(1000)]},
        "fail_detail": "\x00 \ud7ff \N{SNOWMAN} 'quoted' \\ \n" * 1000,
        "seconds": 1e-300,
    }
    study = optuna.create_study(storage=postgres_storage, study_name="d\N{LATIN SMALL LETTER E WITH ACUTE}")
    trial = study.ask()
    drawn = trial.suggest_float("learning_rate", 1e-5, 1e-2, log=True)
    for name, value in values.items():
        trial.set_user_attr(name, value)
    trial.report(1 / 3, 0)
    study.tell(trial, 2 / 3)
    (stored,) = optuna.load_study(study_name=study.study_name, storage=postgres_storage).trials
    assert stored.user_attrs == values
    assert (stored.value, stored.params) == (2 / 3, {"learning_rate": drawn})
    assert stored.intermediate_values == {0: 1 / 3}


def test_a_server_may_be_restarted_between_two_writes(
    postgres: Server, postgres_storage: optuna.storages.RDBStorage
) -> None:
    """An idle connection that is gone is made anew."""
    study = optuna.create_study(storage=postgres_storage, study_name="long")
    study.tell(study.ask(), 1.0)
    postgres.stop()
    postgres.start()
    study.tell(study.ask(), 2.0)
    assert [trial.value for trial in study.trials] == [1.0, 2.0]


def test_the_password_is_seen_nowhere(tmp_path: Path, postgres: Server) -> None:
    """No output of any command, no file and no row that a sweep leaves holds it; no error of a server."""
    url = postgres.make("everything")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FMNIST_SWEEP_STORAGE": url}
    program = [sys.executable, "-m", "fmnist_sweep"]

    def command(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [*program, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        said = done.stdout + done.stderr
        assert SECRET not in said, arguments
        return done.returncode, said

    sweep = ["run", str(ROOT / "sweeps" / "smoke.toml"), "--trials", "2", "--set", "training.train_size=500"]
    code, said = command(*sweep, "--set", "space.epochs=1")
    assert code == 0, said
    assert "to look at it: fmnist-sweep dashboard --storage 'postgresql+psycopg://me:***@127.0.0.1:" in said
    assert command(*sweep, "--set", "space.epochs=2")[0] == 2
    for arguments in (
        ["status"],
        ["trials", "smoke", "--json"],
        ["report"],
        ["export", "--repeats", "1"],
        ["run", "--help"],
    ):
        assert command(*arguments)[0] == 0
    assert command("backup")[0] == 2
    with subprocess.Popen(
        [*program, "dashboard"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as dashboard:
        assert dashboard.stderr is not None
        address = next(dashboard.stderr).strip()
        with urlopen(address.replace("/dashboard", "/api/studies")) as answer:  # noqa: S310 - it is http
            assert SECRET not in answer.read().decode()
        dashboard.terminate()
        assert SECRET not in dashboard.stderr.read()
    postgres.stop()
    for arguments in (["status"], ["trials", "smoke"], ["report"], ["export"], ["dashboard"], sweep):
        code, said = command(*arguments)
        assert (code, "can't be opened: " in said, "refused" in said) == (2, True, True)
    postgres.start()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".html", ".toml", ".json", ".csv"}
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    assert SECRET not in postgres.dump("everything")


@pytest.mark.faults
def test_a_sweep_that_loses_its_server_can_go_on(tmp_path: Path, postgres: Server) -> None:
    """It waits, and ends with a message and without the password; the same command finishes the study."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FMNIST_SWEEP_STORAGE": postgres.make("lost")}
    command = [sys.executable, "-m", "fmnist_sweep", "run", str(ROOT / "sweeps" / "smoke.toml")]
    command += ["--set", "budget.reconnect_seconds=2"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes) as sweep:  # type: ignore[call-overload]
        assert any(line.startswith("[1/4]") for line in sweep.stderr)
        postgres.stop()
        out, err = sweep.communicate(timeout=60)
    postgres.start()
    assert sweep.returncode == 2
    assert "does not answer; trying again for up to 2 s. The trainings go on." in err
    assert "can no longer be used: (psycopg.OperationalError)" in err
    assert SECRET not in out + err
    again = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    assert "4 complete" in again.stdout
