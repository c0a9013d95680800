from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import fmnist_sweep

PACKAGE = Path(fmnist_sweep.__file__).parent
ROOT = "fmnist_sweep"

# Each room of the package and the rooms that it may import. `cli` sees of `storage` only what is light.
ALLOWED = {
    name: frozenset(rooms.split())
    for name, rooms in {
        "core": "",
        "data": "core",
        "models": "core data",
        "config": "core data models",
        "training": "core data models",
        "engines": "core",
        "storage": "core",
        "search": "core data config engines storage",
        "analysis": "core storage",
        "reports": "core storage analysis",
        "confirm": "core config storage analysis search",
        "export": "core data engines storage analysis search reports",
        "observers": "core",
        "api": "core config data engines storage observers analysis search reports confirm export",
        "cli": "core config storage analysis api",
        "__main__": "cli",
    }.items()
}

KERAS = frozenset({"keras", "keras_tuner", "tensorflow"})
MAY_IMPORT_KERAS = frozenset({"models", "training"})


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


def room(name: str) -> str:
    """Return the room that a module is in; modules at the top are rooms of their own."""
    return name.partition(".")[0]


IN_ROOMS = [name for name in MODULES if room(name) in ALLOWED]


@pytest.mark.parametrize("name", IN_ROOMS)
def test_a_module_imports_from_the_rooms_that_its_own_may_see(name: str) -> None:
    """Imports follow the table: none runs upwards, and none goes to a room that has no arrow."""
    # What the package itself names, such as its version, is everybody's.
    rooms = {room(other) for other in own_imports(name)} - {room(name), "__init__"}
    assert rooms <= ALLOWED[room(name)], f"{name} imports from {sorted(rooms - ALLOWED[room(name)])}"


def test_no_imports_run_in_a_circle() -> None:
    """Also inside a folder, modules can be put in an order."""
    # A folder's own __init__ is run before its modules; what counts is what they ask for by name.
    order = TopologicalSorter({name: own_imports(name) for name in MODULES}).static_order()
    assert set(order) == set(MODULES)


@pytest.mark.parametrize("name", IN_ROOMS)
def test_keras_and_optuna_are_kept_apart(name: str) -> None:
    """Keras is known to models and training alone, and no module knows Optuna beside it."""
    used = libraries(name)
    if room(name) not in MAY_IMPORT_KERAS:
        assert not used & KERAS
    assert not ({"optuna"} <= used and used & KERAS)


def modules_outside_storage() -> list[Path]:
    """Return every module that learns what studies hold from `storage` alone."""
    inside = [path for name, path in MODULES.items() if room(name) != "storage"]
    return inside + sorted((PACKAGE.parent / "original_study").glob("*.py"))


@pytest.mark.parametrize("path", modules_outside_storage(), ids=lambda path: path.stem)
def test_only_storage_reads_and_writes_attributes(path: Path) -> None:
    """Elsewhere a study is a `StoredStudy`, and what is written into it has a function of its own."""
    found = re.findall(r"\b(?:set_)?user_attrs?\b", path.read_text(encoding="utf-8"))
    assert found == [], f"{path}: ask storage/stored.py to read, storage/writing.py to write"


# Those that load Optuna take seconds.
LIGHT = {
    "fmnist_sweep.config.loading": ("optuna", "tensorflow", "keras", "keras_tuner", "torch", "plotly"),
    "fmnist_sweep.engines.local": ("optuna", "tensorflow", "keras", "keras_tuner"),
    "fmnist_sweep.models": ("optuna", "tensorflow", "keras", "keras_tuner"),
    "fmnist_sweep.storage.overview": ("optuna", "sqlalchemy", "psutil", "pandas", "tensorflow", "keras"),
    "fmnist_sweep.cli.console.outline": ("optuna", "pandas", "tensorflow", "keras"),
    "fmnist_sweep.cli.main": ("optuna", "tensorflow", "keras", "pandas", "plotly"),
}
HEAVIER = {
    "fmnist_sweep.cli.console.trial_table": ("pandas", "tensorflow", "keras", "plotly"),
    "fmnist_sweep.cli.console.tables": ("pandas", "tensorflow", "keras", "plotly"),
    "fmnist_sweep.search.loop": ("tensorflow", "keras", "keras_tuner", "torch", "plotly", "matplotlib"),
    "fmnist_sweep.search.run": ("tensorflow", "keras", "keras_tuner", "sklearn", "plotly", "matplotlib"),
    "fmnist_sweep.reports.page": ("tensorflow", "keras", "pandas", "sklearn", "scipy.stats", "matplotlib"),
    "fmnist_sweep.reports.dashboard": ("tensorflow", "keras", "sklearn", "scipy.stats", "matplotlib"),
    "fmnist_sweep.export.run": ("tensorflow", "keras", "keras_tuner", "torch"),
    "fmnist_sweep.analysis.frames": ("tensorflow", "keras", "keras_tuner", "torch"),
    "fmnist_sweep.analysis.confirmations": ("tensorflow", "keras", "keras_tuner", "torch", "plotly"),
    "fmnist_sweep.api.studies": ("tensorflow", "sklearn", "scipy", "plotly", "matplotlib"),
    "fmnist_sweep.api.keeping": ("tensorflow", "sklearn", "optuna_dashboard", "matplotlib"),
    "fmnist_sweep.api.runs": ("tensorflow", "keras", "keras_tuner", "torch", "matplotlib"),
    "fmnist_sweep.api.pages": ("tensorflow", "keras", "sklearn", "optuna_dashboard", "matplotlib"),
}


@pytest.mark.parametrize(
    ("imported", "absent"),
    [*LIGHT.items(), *(pytest.param(*heavier, marks=pytest.mark.slow) for heavier in HEAVIER.items())],
)
def test_importing_a_module_stays_light(imported: str, absent: tuple[str, ...]) -> None:
    """What a module does not need is not loaded by anything that it imports either."""
    code = f"import sys, {imported}; print(*sorted(set(sys.modules) & {set(absent)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    assert done.stdout.split() == []
