"""The source of what a saved model needs of the user's own, to go with it: as little as can be run alone.

A model's module often needs more than its layers do, such as KerasTuner, or data. So whatever the layers
don't use is left out; the rest stands in modules of the same names, as it was written.
"""

from __future__ import annotations

import ast
import copy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.search.model_source import Module, Reader

FOLDER: Final = "own_code"


@dataclass(frozen=True)
class OwnCode:
    """Source that goes into a bundle.

    Attributes:
        files: Text of each file, by its path in the folder `FOLDER`.
        libraries: Names of the packages that it imports, but for Python's own.
    """

    files: Mapping[str, str]
    libraries: tuple[str, ...]

    def write(self, folder: Path) -> None:
        """Write the files into a folder, which is made."""
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def own_code(places: Mapping[str, str], module: str, folders: Sequence[Path]) -> OwnCode:
    """Take the source of classes and functions, with all that they use, out of the modules of a project.

    Nothing is imported or run.

    Args:
        places: Where each is defined, ``"module:name"``, by its name in the saved model.
        module: The model's module.
        folders: Where modules of the user's are looked for.

    Raises:
        SweepError: A module can't be read.
    """
    reader = Reader(module, folders)
    libraries = set()
    for place in places.values():
        home, _, name = place.partition(":")
        if reader.knows(home):
            reader.take(home, name.partition(".")[0])
        else:
            libraries.add(home.partition(".")[0])
    files: dict[str, str] = {}
    for name, taken in reader.modules.items():
        text = _text(taken)
        files[_path(name, taken)] = text
        libraries |= _imported(text)
        for package in _packages(name):
            # What a package does when it is imported was not asked for, unless it was taken itself.
            files.setdefault(f"{package.replace('.', '/')}/__init__.py", "")
    own = {name.partition(".")[0] for name in reader.modules}
    return OwnCode(files, tuple(sorted(libraries - own - sys.stdlib_module_names)))


def _path(name: str, module: Module) -> str:
    path = name.replace(".", "/")
    return f"{path}/__init__.py" if module.is_package else f"{path}.py"


def _packages(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]


def _text(module: Module) -> str:
    """Return what was taken of a module, in its order."""
    try:
        whole = module.file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise SweepError(f"the model's module {module.file} can't be read: {error}") from None
    parts: list[str] = []
    was_big = False
    for statement in module.statements:
        future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        if future or statement in module.imported:
            text = _import(statement, module.imported.get(statement, set()))
        elif statement in module.taken:
            text = _source(statement, whole)
        else:
            continue
        is_big = isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        parts.append(f"\n\n{text}" if is_big or was_big else text)
        was_big = is_big
    return "\n".join(parts).strip() + "\n"


def _import(statement: ast.stmt, names: set[str]) -> str:
    lean = copy.deepcopy(statement)
    if isinstance(lean, ast.Import | ast.ImportFrom) and names and "*" not in names:
        lean.names = [a for a in lean.names if (a.asname or a.name.partition(".")[0]) in names]
    return ast.unparse(lean)


def _source(statement: ast.stmt, whole: str) -> str:
    decorators = getattr(statement, "decorator_list", [])
    first = min([statement.lineno, *(decorator.lineno for decorator in decorators)])
    lines = whole.split("\n")[first - 1 : statement.end_lineno]
    # Several statements may share a line.
    alone = statement.col_offset == 0 and len(lines[-1].encode()) == statement.end_col_offset
    return "\n".join(lines) if alone or decorators else ast.get_source_segment(whole, statement) or ""


def _imported(text: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.partition(".")[0])
    return names
