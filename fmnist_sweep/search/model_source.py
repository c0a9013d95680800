"""What a user's model is made of: a digest of each part of its source, taken without running it.

A study keeps these digests, so that trials of a model that was edited in between are not taken for trials of
the same one.
"""

from __future__ import annotations

import ast
import hashlib
import symtable
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Final

from fmnist_sweep.core.errors import StudyMismatchError, SweepError
from fmnist_sweep.core.user_code import code_folders, find_module, in_words, is_library, is_ours
from fmnist_sweep.storage.stored import StoredStudy

ACCEPT: Final = "--accept-edited-model"
"""What a user gives to go on with a study whose model was edited."""

_EFFECTS: Final = (ast.Expr, ast.AugAssign, ast.Delete, ast.Assert, ast.Raise)
_BLOCKS: Final = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match)


def model_parts(path: str, folders: Sequence[Path] = ()) -> dict[str, str]:
    """Return a digest of each part of a model's source, by the part's name.

    Parts are the class or function itself, whatever of its module it uses, and what that imports from modules
    of the same project. Comments, docstrings and layout don't count, nor what the model never uses; what the
    module does when it is imported counts as one part. Nothing is imported or run.

    Args:
        path: Import path of a model, ``"package.module:Name"``.
        folders: Where modules of the user's are looked for; without any, in the current folder.

    Returns:
        Names such as ``"net.Net"`` and short digests. Empty for a model of this package, whose version a
        study names, and for one whose source is not there, as in a compiled module.

    Raises:
        SweepError: There is no such module.

    Example:
        >>> model_parts("fmnist_sweep.models:DenseModel")
        {}
    """
    module, _, name = path.partition(":")
    if is_ours(module):
        return {}
    return Reader(module, folders or code_folders()).parts(name.partition(".")[0])


def changed_parts(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the names of the parts that differ, with what became of them.

    Example:
        >>> changed_parts({"net.Net": "1", "net.WIDTH": "2"}, {"net.Net": "3"})
        ['net.Net was edited', 'net.WIDTH is gone']
    """
    return [
        f"{name} {'is new' if name not in before else 'is gone' if name not in now else 'was edited'}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]


def edited_parts(study: StoredStudy, parts: Mapping[str, str]) -> list[str]:
    """Return what of its model's source differs from what a study knows, a line each.

    Args:
        study: The study; of one that an earlier version made nothing is known.
        parts: What the source is now.
    """
    return changed_parts(study.model_sources[-1], parts) if study.model_sources else []


def require_same_model(study: StoredStudy, *, n_parameters: int | None = None) -> None:
    """Raise `StudyMismatchError` if the source of a study's model was edited since its last run.

    Args:
        study: The study.
        n_parameters: Weights of the trial that is asked for, by which a user may know the net that it was.

    Raises:
        SweepError: The module of the model is gone.
    """
    if study.model_path is None:
        return
    edits = edited_parts(study, model_parts(study.model_path, study.folders))
    if edits:
        had = "" if n_parameters is None else f" The net that was chosen has {n_parameters:,} weights."
        raise StudyMismatchError(
            f"study {study.name!r}: its model {study.model_path} was edited since it was swept: "
            f"{', '.join(edits)}.{had} Put the source back; if it builds the very same nets, run the sweep "
            f"file once more with {ACCEPT}; else sweep it under another name with --study"
        )


class Module:
    """The statements at the top of a module, by the names that they bind."""

    def __init__(self, name: str, file: Path) -> None:
        self.name = name
        self.is_package = file.name == "__init__.py"
        self.package = name if self.is_package else name.rpartition(".")[0]
        self.file = file
        # What a reader takes of it: whole statements, and of imports the names.
        self.taken: dict[ast.stmt, None] = {}
        self.imported: dict[ast.stmt, set[str]] = {}

    @cached_property
    def statements(self) -> list[ast.stmt]:
        """All that counts, without docstrings and what only a script does."""
        try:
            tree = ast.parse(self.file.read_bytes(), self.file)
        except (OSError, SyntaxError, ValueError) as error:
            raise SweepError(f"the model's module {self.file} can't be read: {error}") from None
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                _drop_docstring(node)
        return [node for node in tree.body if not _is_guarded(node)]

    @cached_property
    def binding(self) -> dict[str, list[ast.stmt]]:
        """The statements that bind each name."""
        found: dict[str, list[ast.stmt]] = {}
        for statement in self.statements:
            for name in _bound(statement):
                found.setdefault(name, []).append(statement)
        return found

    @cached_property
    def effects(self) -> list[ast.stmt]:
        """The statements that may do anything, whoever uses what they bind."""
        return [s for s in self.statements if isinstance(s, (*_EFFECTS, *_BLOCKS)) or _sets_inside(s)]


class Reader:
    """Follows names from a model through the modules of its project."""

    def __init__(self, module: str, folders: Sequence[Path]) -> None:
        self._module = module
        self._folders = folders
        self._modules: dict[str, Module | None] = {}
        self._seen: set[tuple[str, str]] = set()
        self._digests: dict[str, str] = {}

    def parts(self, name: str) -> dict[str, str]:
        """Return the digests of all that a name of the model's module needs."""
        if self._spec(self._module) is None:
            where = f"{in_words(self._folders)} or among the installed packages"
            raise SweepError(f"no module {self._module!r} in {where}")
        self.take(self._module, name)
        return dict(sorted(self._digests.items()))

    @property
    def modules(self) -> dict[str, Module]:
        """The modules of the project that something was taken of, by their names."""
        found = {name: module for name, module in self._modules.items() if module is not None}
        return {name: module for name, module in found.items() if module.taken or module.imported}

    def knows(self, name: str) -> bool:
        """Return whether a module is one of the project whose source is there."""
        return self._of(name) is not None

    def _of(self, name: str) -> Module | None:
        """Return a module of the project; None for a library, and where there is no source."""
        if name not in self._modules:
            spec = self._spec(name)
            file = None if spec is None or spec.origin is None else Path(spec.origin)
            same = name.partition(".")[0] == self._module.partition(".")[0]
            readable = file is not None and file.suffix == ".py" and (same or not is_library(file))
            ours = is_ours(name)
            self._modules[name] = Module(name, file) if file is not None and readable and not ours else None
        return self._modules[name]

    def _spec(self, name: str) -> ModuleSpec | None:
        """Find a module as an import finds it, without importing anything."""
        top, _, rest = name.partition(".")
        spec = find_module(top, self._folders)
        for i, _part in enumerate(rest.split(".") if rest else [], start=2):
            if spec is None or spec.submodule_search_locations is None:
                return None
            full = ".".join(name.split(".")[:i])
            spec = PathFinder.find_spec(full, list(spec.submodule_search_locations))
        return spec

    def take(self, module: str, name: str) -> None:
        """Take a name of a module along, with all that it needs."""
        found = self._of(module)
        if found is None or (module, name) in self._seen:
            return
        self._seen.add((module, name))
        self._take_effects(found)
        if name not in found.binding:
            # Bound by an import of everything, or by nothing that a reader can see.
            if self._spec(f"{module}.{name}") is not None:
                self._take_all(f"{module}.{name}")
            return
        self._take_statements(found, f"{module}.{name}", found.binding[name], name)

    def _take_all(self, module: str) -> None:
        found = self._of(module)
        for name in () if found is None else list(found.binding):
            self.take(module, name)

    def _take_effects(self, module: Module) -> None:
        if (module.name, "") not in self._seen and module.effects:
            self._seen.add((module.name, ""))
            self._take_statements(module, module.name, module.effects)
        for statement in module.statements:
            if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
                module.imported.setdefault(statement, set()).add("*")
                self._take_all(_imported_from(statement, module))

    def _take_statements(
        self, module: Module, part: str, statements: Sequence[ast.stmt], name: str | None = None
    ) -> None:
        imports = [s for s in statements if isinstance(s, ast.Import | ast.ImportFrom)]
        others = [s for s in statements if s not in imports]
        module.taken |= dict.fromkeys(others)
        told = [canonical(s) for s in others]
        for statement in imports:
            module.imported.setdefault(statement, set()).update([] if name is None else [name])
            told += self._follow(module, statement, name)
        if told:
            self._digests[part] = hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
        for other in others:
            for used in _used(other):
                if used in module.binding:
                    self.take(module.name, used)
            for inner in ast.walk(other):
                if isinstance(inner, ast.Import | ast.ImportFrom):
                    self._follow(module, inner, None)

    def _follow(self, module: Module, statement: ast.Import | ast.ImportFrom, name: str | None) -> list[str]:
        """Take along what an import brings from the project, and return what it brings from libraries."""
        libraries = []
        for alias in statement.names:
            bound = alias.asname or alias.name.partition(".")[0]
            if name not in (None, bound):
                continue
            if isinstance(statement, ast.Import):
                source, what = alias.name, None
            else:
                source, what = _imported_from(statement, module), alias.name
            if self._of(source) is None:
                libraries.append(f"{source} {what} {alias.asname}")
            elif what in (None, "*"):
                self._take_all(source)
            else:
                self.take(source, what or "")
        return libraries


def canonical(node: ast.AST) -> str:
    """Return a syntax tree as text that no version of Python writes otherwise: what is empty is left out."""
    fields = []
    for name, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            fields.append(f"{name}={canonical(value)}")
        elif isinstance(value, list) and value:
            inner = ",".join(canonical(v) if isinstance(v, ast.AST) else repr(v) for v in value)
            fields.append(f"{name}=[{inner}]")
        elif value is not None and not isinstance(value, list):
            fields.append(f"{name}={value!r}")
    return f"{type(node).__name__}({' '.join(fields)})"


def _drop_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    if ast.get_docstring(node, clean=False) is not None:
        del node.body[0]


def _is_guarded(node: ast.stmt) -> bool:
    """Return whether a statement stands under ``if __name__ == "__main__"`` or ``if TYPE_CHECKING``."""
    if not isinstance(node, ast.If) or node.orelse:
        return False
    names = {n.id for n in ast.walk(node.test) if isinstance(n, ast.Name)}
    return bool(names & {"__name__", "TYPE_CHECKING"})


def _bound(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement at the top of a module binds."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
        return
    if isinstance(statement, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in statement.names)
        return
    for node in ast.iter_child_nodes(statement):
        if isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case | ast.withitem):
            yield from _bound_inside(node)
        else:
            yield from (n.id for n in ast.walk(node) if isinstance(n, ast.Name) and _is_stored(n))


def _bound_inside(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.stmt):
        yield from _bound(node)
        return
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.stmt):
            yield from _bound(inner)
        else:
            yield from (n.id for n in ast.walk(inner) if isinstance(n, ast.Name) and _is_stored(n))


def _is_stored(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def _sets_inside(statement: ast.stmt) -> bool:
    """Return whether an assignment changes something that exists, such as ``SIZES["a"] = 3``."""
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return any(isinstance(target, ast.Subscript | ast.Attribute) for target in targets)


def _used(statement: ast.stmt) -> set[str]:
    """Return the names of its module that a statement uses, local ones of its functions left out."""

    def walk(table: symtable.SymbolTable) -> Iterator[str]:
        outside = table.get_type() == "module"
        yield from (
            s.get_name() for s in table.get_symbols() if s.is_referenced() and (outside or s.is_global())
        )
        for inner in table.get_children():
            yield from walk(inner)

    # A statement that only a loop or a function may hold can't stand at the top of a module.
    return set(walk(symtable.symtable(ast.unparse(ast.Module([statement], [])), "<part>", "exec")))


def _imported_from(statement: ast.ImportFrom, module: Module) -> str:
    """Return the whole name of the module that names are imported from."""
    if not statement.level:
        return statement.module or ""
    package = module.package
    for _ in range(statement.level - 1):
        package = package.rpartition(".")[0]
    return f"{package}.{statement.module}" if statement.module else package
