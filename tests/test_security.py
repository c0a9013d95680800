"""What a sweep refuses to do for files, names and neighbours that it does not know."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import InMemoryStorage

import fmnist_sweep
from fmnist_sweep.cli import main as cli
from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.reports import dashboard

SOURCES = sorted(Path(fmnist_sweep.__file__).parent.rglob("*.py"))

UNPICKLES = frozenset({"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"})
CARRIES = ("carried.py", "carrying.py")
"""What the user's own program hands over as objects travels to their trials through their own cache: no file
of anybody else's is opened there."""

RUNS_TEXT = frozenset({"eval", "exec", "compile"})
USERS_MODELS = (("saving.py", "False"), ("saving_checks.py", "safe"))
"""Where a model of the user's own, which their code saved for this export, is loaded with its lambdas, and
what Keras is given for ``safe_mode`` there."""


def calls(path: Path) -> Iterator[ast.Call]:
    """Yield every call in a module."""
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))


def imported(path: Path) -> set[str]:
    """Return the top-level names that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def option(call: ast.Call, name: str) -> str | None:
    """Return how a call writes a keyword argument; None where it does not."""
    return next((ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg == name), None)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_file_is_run(path: Path) -> None:
    """Nothing is unpickled, arrays hold no objects, models load in safe mode, and no text is a program."""
    assert not imported(path) & UNPICKLES or path.name in CARRIES
    for call in calls(path):
        name = ast.unparse(call.func)
        assert name not in RUNS_TEXT, f"line {call.lineno}"
        assert option(call, "shell") in (None, "False"), f"line {call.lineno}"
        if name in ("np.load", "numpy.load"):
            assert option(call, "allow_pickle") == "False", f"line {call.lineno}"
        if name.endswith("models.load_model"):
            users = (path.name, option(call, "safe_mode")) in USERS_MODELS
            assert users or option(call, "safe_mode") in (None, "True"), f"line {call.lineno}"


def test_the_dashboard_is_for_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless told otherwise it listens on 127.0.0.1, where the network does not reach it."""
    asked: dict[str, Any] = {}
    monkeypatch.setattr(dashboard, "serve", lambda _storage, **options: asked.update(options))
    monkeypatch.setattr(sys, "argv", ["fmnist-sweep", "dashboard"])
    with pytest.raises(SystemExit):
        cli.main()
    with dashboard.make_app_server(InMemoryStorage(), host=asked["host"], port=None) as server:
        assert server.socket.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    "name", ["../up", "/etc/passwd", "a/b", "a\\b", "..", ".hidden", "a\n", "", "a" * 101]
)
def test_a_studys_name_is_no_path(make_config: Callable[..., Any], name: str) -> None:
    """Folders and files are named after studies: a sweep file can't lead them elsewhere."""
    with pytest.raises(ConfigError, match="study: "):
        make_config(study=name)
