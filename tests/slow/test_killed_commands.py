"""Commands that are killed at ten moments each, with real processes and signals; trainings are scripted.

The moments are spread over all that a command changes at rest: see `small_study.Steps`.
"""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import pytest
from small_study import Small

from fmnist_sweep.export.bundle import bundle_facts
from fmnist_sweep.storage.checking import HALF_LOADED

pytestmark = pytest.mark.slow

N_MOMENTS = 10
STANDS_FOR_ALL = 6
MOMENTS = [i if i == STANDS_FOR_ALL else pytest.param(i, marks=pytest.mark.faults) for i in range(N_MOMENTS)]

CONFIRM = ("confirm", "small", "--top", "1", "--repeats", "2")
EXPORT = ("export", "small", "--repeats", "2")
BACKUP = ("backup", "copies/copy.db", "--force")
DUMP = ("dump", "--output", "texts")
LOAD = ("load", "texts/small.jsonl", "texts/small-confirm.jsonl")

FILES = {"learning_curve.png", "metrics.json", "model.keras", "train.py", "README.md", "config.toml"}
"""Some of those of a bundle."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A finished study and its confirmation, both kept as text as well."""
    small = Small(tmp_path_factory.mktemp("made"))
    for command in (("run", "small.toml"), CONFIRM, DUMP):
        small.finish(*command)
    (small.folder / "copies").mkdir()
    assert small.is_whole()
    assert small.leftovers() == []
    return small


@pytest.fixture(scope="module")
def n_steps(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., int]:
    """Return how many steps a command takes, in a copy of the folder."""
    known: dict[tuple[object, ...], int] = {}

    def count(small: Small, *command: str) -> int:
        key = (small.database.exists(), *command)
        if key not in known:
            known[key] = copied(small, tmp_path_factory.mktemp("counted")).n_steps(*command)
        return known[key]

    return count


def copied(small: Small, folder: Path) -> Small:
    """Return a copy of a folder."""
    copytree(small.folder, folder, dirs_exist_ok=True)
    return replace(small, folder=folder)


def killed(small: Small, n_steps: Callable[..., int], moment: int, *command: str) -> None:
    """Give a command that kills itself at one of its moments; the storage is whole then."""
    n = n_steps(small, *command)
    assert n >= 3
    process = small.start(*command, KILL_AT=str(1 + moment * n // N_MOMENTS))
    _, said = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL, said
    assert not small.database.exists() or small.is_whole()


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_confirmation_goes_on(
    made: Small, n_steps: Callable[..., int], tmp_path: Path, moment: int
) -> None:
    """Each repeat is there once, with the curve that it would have had."""
    before = copied(made, tmp_path)
    more = (*CONFIRM[:-1], "3")
    killed(before, n_steps, moment, *more)
    assert before.found() == made.found()
    before.finish(*more)
    found = before.found("small-confirm")
    known = made.found("small-confirm")
    assert found[: len(known)] == known
    assert [state for _, state, *_ in found] == ["COMPLETE"] * (len(known) // 2 * 3)
    assert len({str(sorted(params.items())) for _, _, params, *_ in found}) == len(found)
    assert "damaged" not in before.status()["small-confirm"]
    assert before.leftovers() == []


@pytest.mark.faults
@pytest.mark.parametrize("moment", range(N_MOMENTS))
def test_an_export_goes_on(made: Small, n_steps: Callable[..., int], tmp_path: Path, moment: int) -> None:
    """There is a whole bundle or none; a reading of the test set is counted, and never passed over."""
    small = copied(made, tmp_path)
    killed(small, n_steps, moment, *EXPORT)
    assert small.found() == made.found()
    bundle = tmp_path / "exports" / "small"
    assert not bundle.exists() or (bundle_facts(bundle) and {*FILES} <= {p.name for p in bundle.iterdir()})
    again = small.start(*EXPORT)
    _, said = again.communicate(timeout=300)
    if again.returncode == 2:
        assert "and what it gave was lost: the export ended before it was stored" in said
        small.finish(*EXPORT, "--again")
    else:
        assert again.returncode == 0, said
    assert bundle_facts(bundle)
    assert {*FILES} <= {path.name for path in bundle.iterdir()}
    readings: list[Any] = small.study().user_attrs["test_readings"]
    assert [reading["complete"] for reading in readings] == [*[False] * (again.returncode // 2), True]
    assert small.leftovers() == []


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_backup_is_whole_or_the_old_one(
    made: Small, n_steps: Callable[..., int], tmp_path: Path, moment: int
) -> None:
    """The copy that was there is replaced at once or not at all, and the next one cleans up."""
    small = copied(made, tmp_path)
    copy = replace(small, url=f"sqlite:///{tmp_path}/copies/copy.db")
    with closing(sqlite3.connect(tmp_path / "copies" / "copy.db")) as old, old:
        old.execute("CREATE TABLE old (x)")
    killed(small, n_steps, moment, *BACKUP)
    with closing(sqlite3.connect(tmp_path / "copies" / "copy.db")) as found:
        assert found.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        tables = {name for (name,) in found.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {"old"} or "studies" in tables
    small.finish(*BACKUP)
    assert copy.found() == made.found()
    assert small.leftovers() == []


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_dump_is_done_again(made: Small, n_steps: Callable[..., int], tmp_path: Path, moment: int) -> None:
    """A file has its old content or all of its new one."""
    small = copied(made, tmp_path)
    files = {path.name: path.read_bytes() for path in (made.folder / "texts").iterdir()}
    for path in (tmp_path / "texts").iterdir():
        path.write_bytes(b"old")
    killed(small, n_steps, moment, *DUMP)
    for name, content in files.items():
        assert (tmp_path / "texts" / name).read_bytes() in (b"old", content)
    small.finish(*DUMP)
    assert {path.name: path.read_bytes() for path in (tmp_path / "texts").iterdir()} == files


@pytest.mark.parametrize(
    "into", ["one with studies", pytest.param("a new storage", marks=pytest.mark.faults)]
)
@pytest.mark.parametrize("moment", MOMENTS)
def test_half_a_load_is_never_taken_for_a_whole_one(
    made: Small, n_steps: Callable[..., int], tmp_path: Path, moment: int, into: str
) -> None:
    """Until the same command has made it whole, every other one passes it by or refuses it."""
    small = copied(made, tmp_path)
    if into == "a new storage":
        for path in tmp_path.glob("studies.db*"):
            rmtree(path) if path.is_dir() else path.unlink()
    killed(small, n_steps, moment, *LOAD)
    for name in ("small", "small-confirm"):
        row = small.status().get(f"reference-{name}")
        if row is None or not row["n_trials"]:
            continue
        if "damaged" in row:
            assert row["damaged"] == HALF_LOADED
            said = small.finish("dump", f"reference-{name}", code=2)
            assert f"reference-{name}' is damaged: {HALF_LOADED}" in said
        else:
            assert small.found(f"reference-{name}") == made.found(name)
    small.finish(*LOAD)
    for name in ("small", "small-confirm"):
        assert small.found(f"reference-{name}") == made.found(name)
        assert "damaged" not in small.status()[f"reference-{name}"]
    assert small.leftovers() == []
