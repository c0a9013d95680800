from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import fmnist_sweep

PACKAGE = Path(fmnist_sweep.__file__).parent
ROOT = "fmnist_sweep"

# From the bottom up: a module or folder may import what stands below it, and nothing beside or above it. A
# module that has its own place does not stand where its folder does.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("__init__",),
    ("errors",),
    ("records",),
    ("score", "data", "space", "testing", "address", "measured", "owner"),
    ("catalog", "server_lock"),
    ("sweep_file", "limits", "overrides"),
    ("config_errors", "points"),
    ("config",),
    ("models",),
    ("training",),
    ("engines",),
    ("progress",),
    ("history",),
    ("observing",),
    ("sampling",),
    ("study",),
    ("ownership", "checkpoints", "backup", "importing", "feasible", "reference"),
    ("plan", "claim", "live"),
    ("search",),
    ("reports.frames",),
    ("winners.statistics",),
    ("winners.confirmations",),
    ("winners.verdicts", "winners.comparing"),
    ("confirming",),
    ("reports",),
    ("winners",),
    ("display", "cells"),
    ("tables", "outline", "overview", "runner", "winner_tables"),
    ("exporting",),
    ("paper",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

KERAS = frozenset({"keras", "keras_tuner", "tensorflow"})
MAY_IMPORT_KERAS = frozenset({"models", "training"})
MAY_IMPORT_OPTUNA = frozenset(
    {
        "observing",
        "sampling",
        "study",
        "ownership",
        "claim",
        "importing",
        "feasible",
        "reference",
        "history",
        "plan",
        "live",
    }
    | {"search", "confirming", "runner"}
    | {"reports.frames", "reports", "winners.confirmations", "winners.comparing", "winners"}
    | {"paper", "tables", "commands"}
)


def modules() -> Iterator[tuple[str, Path]]:
    """Yield every module of the package with its dotted name inside it; ``__init__`` for the root itself."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts), path


MODULES = dict(modules())


def imports(name: str) -> Iterator[str]:
    """Yield the full name of everything that a module imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import: the others are written out"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(name: str) -> set[str]:
    """Return the modules of the package that a module imports, by their names inside it."""
    found = set()
    for full in imports(name):
        if full.partition(".")[0] == ROOT:
            inside = full.removeprefix(ROOT).removeprefix(".")
            while inside and inside not in MODULES:
                # The last part is a name in the module, not a module.
                inside = inside.rpartition(".")[0]
            found.add(inside or "__init__")
    return found - {name}


def libraries(name: str) -> set[str]:
    """Return the top-level names that a module imports."""
    return {full.partition(".")[0] for full in imports(name)}


def unit(name: str) -> str:
    """Return what has a place: the module itself, or the folder that it belongs to."""
    return name if name in LEVEL else name.partition(".")[0]


def test_every_module_has_its_layer() -> None:
    """A new module or folder is given its place before it is merged, and no place is kept for a gone one."""
    assert {unit(name) for name in MODULES} == set(LEVEL)


@pytest.mark.parametrize("name", MODULES)
def test_arrows_point_down(name: str) -> None:
    """A module imports from lower layers, or from its own folder."""
    wrong = [
        other
        for other in own_imports(name)
        if unit(other) != unit(name) and LEVEL[unit(other)] >= LEVEL[unit(name)]
    ]
    assert wrong == [], f"{name} imports from beside or above it"


def test_no_imports_run_in_a_circle() -> None:
    """Also inside a folder, modules can be put in an order."""
    # A folder's own __init__ is run before its modules; what counts is what they ask for by name.
    order = TopologicalSorter({name: own_imports(name) for name in MODULES}).static_order()
    assert set(order) == set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_keras_and_optuna_are_kept_apart(name: str) -> None:
    """Keras is known to models and training alone, Optuna to the search and to what reads studies."""
    used = libraries(name)
    if unit(name) not in MAY_IMPORT_KERAS:
        assert not used & KERAS
    if unit(name) not in MAY_IMPORT_OPTUNA:
        assert not {"optuna", "optuna_dashboard"} & used
    assert not ({"optuna"} <= used and used & KERAS)


@pytest.mark.parametrize(
    ("imported", "absent"),
    [
        ("fmnist_sweep.config", ("optuna", "tensorflow", "keras", "keras_tuner", "torch", "plotly")),
        ("fmnist_sweep.search", ("tensorflow", "keras", "keras_tuner", "torch", "plotly", "matplotlib")),
        ("fmnist_sweep.runner", ("tensorflow", "keras", "sklearn", "matplotlib")),
        ("fmnist_sweep.reports.html", ("tensorflow", "keras", "sklearn", "matplotlib")),
        ("fmnist_sweep.winners.export", ("tensorflow", "keras", "keras_tuner", "torch")),
        ("fmnist_sweep.engines.local", ("optuna", "tensorflow", "keras", "keras_tuner")),
        ("fmnist_sweep.reports.frames", ("tensorflow", "keras", "keras_tuner", "torch")),
        ("fmnist_sweep.winners.confirmations", ("tensorflow", "keras", "keras_tuner", "torch", "plotly")),
        ("fmnist_sweep.runner", ("tensorflow", "keras", "keras_tuner", "plotly", "matplotlib")),
        ("fmnist_sweep.models", ("tensorflow", "keras", "keras_tuner")),
        ("fmnist_sweep.overview", ("optuna", "pandas", "tensorflow", "keras")),
        ("fmnist_sweep.outline", ("optuna", "pandas", "tensorflow", "keras")),
        ("fmnist_sweep.cli", ("optuna", "tensorflow", "keras", "pandas", "plotly")),
    ],
)
def test_importing_a_module_stays_light(imported: str, absent: tuple[str, ...]) -> None:
    """What a module does not need is not loaded by anything that it imports either."""
    code = f"import sys, {imported}; print(*sorted(set(sys.modules) & {set(absent)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    assert done.stdout.split() == []
