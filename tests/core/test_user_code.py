"""Modules of a user's: found where they lie, and never taken for a library."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fmnist_sweep.core import user_code
from fmnist_sweep.core.user_code import (
    code_folders,
    found_file,
    import_users,
    safe_path,
    shadow_notes,
    shadow_problem,
)


@pytest.fixture(autouse=True)
def imports_as_before() -> Iterator[None]:
    """What a test imports is forgotten."""
    path, finders, modules = list(sys.path), list(sys.meta_path), set(sys.modules)
    yield
    sys.path[:], sys.meta_path[:] = path, finders
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def test_the_sweep_file_s_folder_comes_before_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files and modules alike; where they are one there is one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for folder in (tmp_path, tmp_path / "sub"):
        (folder / "where_it_lies.py").write_text(f"FOLDER = {folder.name!r}")
        (folder / "d.npz").touch()
    folders = code_folders(Path("sub"))
    assert folders == (tmp_path / "sub", tmp_path)
    assert found_file(Path("d.npz"), folders) == tmp_path / "sub" / "d.npz"
    assert import_users("where_it_lies", folders).FOLDER == "sub"
    assert code_folders(tmp_path) == (tmp_path,)


@pytest.mark.parametrize("name", ["statistics", "graphlib", "joblib", "threadpoolctl"])
def test_a_library_is_not_hidden(tmp_path: Path, name: str) -> None:
    """Whether it is the standard library's or installed, and imported already or not; others win."""
    (tmp_path / f"{name}.py").write_text("raise RuntimeError('the user has one of that name')")
    (tmp_path / "asks.py").write_text(f"import {name} as found")
    sys.modules.pop(name, None)
    assert not str(import_users("asks", [tmp_path]).found.__file__).startswith(str(tmp_path))


def test_an_installed_module_that_nothing_needs_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does for a script of the user's."""
    for folder in ("installed", "own"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "utils_of_somebody.py").write_text(f"FOLDER = {folder!r}")
    monkeypatch.syspath_prepend(tmp_path / "installed")
    assert import_users("utils_of_somebody", [tmp_path / "own"]).FOLDER == "own"


def test_what_has_a_library_s_name_is_named(tmp_path: Path) -> None:
    """A model of that name can't be, and any other module is noted."""
    (tmp_path / "random.py").touch()
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").touch()
    (tmp_path / "net.py").touch()
    problem = shadow_problem("random:Net", [tmp_path])
    assert problem is not None
    assert problem.startswith(
        f"{tmp_path / 'random.py'} has the name of the module random of Python's standard"
    )
    assert shadow_problem("net:Net", [tmp_path]) is None
    numpy, random = shadow_notes([tmp_path])
    assert numpy.startswith(f"{tmp_path / 'numpy' / '__init__.py'} has the name of the package numpy, which ")
    assert random.startswith(str(tmp_path / "random.py"))


def test_the_sources_of_this_package_hide_nothing() -> None:
    """A folder that holds them is no fault of the user's."""
    assert shadow_notes([Path(user_code.__file__).parents[2]]) == []


def test_the_current_folder_is_looked_into_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the user has put it into PYTHONPATH."""
    monkeypatch.chdir(tmp_path)
    # That of a command that runs the tests stands behind as well.
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path), "", *sys.path])
    assert safe_path()[-1] == str(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert safe_path()[0] == str(tmp_path)


def test_the_command_itself_hides_no_library(tmp_path: Path) -> None:
    """Run by ``python -m`` it would look into the current folder first."""
    for name in ("random", "json", "numpy", "typer"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the user has one of that name')")
    root = str(Path(user_code.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-m", "fmnist_sweep", "--help"],
        cwd=tmp_path,
        env={"PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
