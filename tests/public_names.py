"""The public names of the package and their signatures, as text: `python tests/public_names.py` writes it.

They are read from the source: nothing is imported, so the text says what stands there and takes no time.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

import fmnist_sweep

STORED = Path(__file__).parent / "public_names.txt"
PACKAGE = Path(fmnist_sweep.__file__).parent


def described() -> str:
    """Return each public name with what it takes and gives, in the order of the alphabet."""
    return "\n".join(line for name in sorted(fmnist_sweep.__all__) for line in _lines(name)) + "\n"


def digest(text: str) -> str:
    """Return what the changelog must hold of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def definition(name: str) -> ast.ClassDef | ast.FunctionDef:
    """Return the class or function that a public name stands for."""
    place = fmnist_sweep._PLACES[name].removeprefix("fmnist_sweep.").replace(".", "/")
    tree = ast.parse((PACKAGE / f"{place}.py").read_text(encoding="utf-8"))
    (found,) = [node for node in tree.body if getattr(node, "name", None) == name]
    assert isinstance(found, ast.ClassDef | ast.FunctionDef)
    return found


def public_parts(made: ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AnnAssign]:
    """Yield the fields, the properties and the methods of a class that are public, and its `__init__`."""
    for node in made.body:
        if isinstance(node, ast.AnnAssign):
            yield node
        if isinstance(node, ast.FunctionDef) and (node.name == "__init__" or node.name[0] != "_"):
            yield node


def _lines(name: str) -> Iterator[str]:
    found = definition(name)
    if isinstance(found, ast.FunctionDef):
        yield _signature(found)
        return
    bases = f"({', '.join(map(ast.unparse, found.bases))})" if found.bases else ""
    yield f"class {name}{bases}"
    for part in public_parts(found):
        if isinstance(part, ast.AnnAssign):
            yield f"    {ast.unparse(part)}"
        else:
            yield from (f"    @{ast.unparse(one)}" for one in part.decorator_list)
            yield f"    {_signature(part)}"


def _signature(made: ast.FunctionDef) -> str:
    gives = "" if made.returns is None else f" -> {ast.unparse(made.returns)}"
    return f"def {made.name}({ast.unparse(made.args)}){gives}"


if __name__ == "__main__":
    STORED.write_text(described(), encoding="utf-8")
    print(digest(described()))  # noqa: T201 - a program
