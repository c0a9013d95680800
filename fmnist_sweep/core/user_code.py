"""Where modules of a user's own lie, and how they are imported without hiding a library.

A file ``random.py`` in a user's folder must not be taken for the standard library's, nor ``numpy.py`` for
NumPy: whatever this program needs is found first. Any other module of the user's goes before an installed one
of its name, as it does for a script of theirs.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import os
import pkgutil
import re
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Final

import fmnist_sweep
from fmnist_sweep.core.errors import did_you_mean

_OURS: Final = fmnist_sweep.__name__
_DISTRIBUTION: Final = "fmnist-sweep"
_LIBRARIES: Final = tuple(
    Path(path).resolve() for path in sysconfig.get_paths().values() if Path(path).name != "bin"
)
_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})

_MOST_NAMES: Final = 20


def is_ours(path: str) -> bool:
    """Return whether a module, or what an import path names, is of this package.

    Example:
        >>> is_ours("fmnist_sweep.models:DenseModel"), is_ours("net:build")
        (True, False)
    """
    return re.split(r"[.:]", path, maxsplit=1)[0] == _OURS


def code_folders(beside: Path | None = None) -> tuple[Path, ...]:
    """Return the folders that paths and modules of a sweep file are looked for in, in their order.

    Args:
        beside: The sweep file's folder; the current folder comes behind it.
    """
    here = Path.cwd()
    return (here,) if beside is None or beside.resolve() == here.resolve() else (beside.absolute(), here)


def places_of(path: Path, folders: Sequence[Path] = ()) -> list[Path]:
    """Return where a file may lie: an absolute path in one place, any other in each folder.

    Args:
        path: As a user gives it.
        folders: Those to look in; without any, the current one.

    Example:
        >>> places_of(Path("d.npz"), [Path("/a/sweeps"), Path("/a")])
        [PosixPath('/a/sweeps/d.npz'), PosixPath('/a/d.npz')]
    """
    path = path.expanduser()
    return list(dict.fromkeys(folder / path for folder in folders or code_folders()))


def found_file(path: Path, folders: Sequence[Path] = ()) -> Path:
    """Return the first of the places of a path that has a file, or else the first of them."""
    places = places_of(path, folders)
    return next((place for place in places if place.is_file()), places[0])


def in_words(folders: Iterable[Path]) -> str:
    """Return folders as a message names them.

    Example:
        >>> in_words([Path("/a/sweeps"), Path("/a")])
        '/a/sweeps, in /a'
    """
    return ", in ".join(map(str, folders))


def find_module(name: str, folders: Sequence[Path]) -> ModuleSpec | None:
    """Find a module at the top as an import finds it, without importing anything.

    Args:
        name: Its name, without a dot.
        folders: Where the user's own may lie.
    """
    own = _own_module(name, folders)
    if own is not None:
        return own
    spec: ModuleSpec | None = PathFinder.find_spec(name, [*safe_path(), *map(str, folders)])
    if spec is None:
        # Found by a hook, as a package that is installed for editing, or built in.
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return None
    return spec


def no_module(name: str, folders: Sequence[Path]) -> str:
    """Return the line on a module at the top that is missing: where it was looked for, and what there is."""
    there = [module.name for module in pkgutil.iter_modules(map(str, folders))]
    return f"no module {name!r} in {in_words(folders)} or among the installed packages{instead(name, there)}"


def instead(name: str, there: Iterable[str]) -> str:
    """Return what a message on a missing name goes on with: the nearest one there is, or the first twenty.

    Example:
        >>> instead("unts", ["units", "depth"]), instead("x", ["units", "depth"]), instead("x", [])
        ("; did you mean 'units'?", '; there are depth, units', '')
    """
    there = sorted(there)
    more = f" and {len(there) - _MOST_NAMES} more" if len(there) > _MOST_NAMES else ""
    some = f"; there are {', '.join(there[:_MOST_NAMES])}{more}" if there else ""
    return did_you_mean(name, there) or some


def shadow_problem(import_path: str, folders: Sequence[Path]) -> str | None:
    """Return why an import path can't name a module of the user's: its name is taken; None where it can.

    Example:
        >>> shadow_problem("fmnist_sweep.models:DenseModel", [])
    """
    name = import_path.partition(":")[0].partition(".")[0]
    file = _file_of(name, folders)
    if file is None or _is_itself(file) or not _is_taken(name):
        return None
    return f"{file} has the name of {_taken_by(name)}, which is imported in its place; rename the file"


def shadow_notes(folders: Sequence[Path]) -> list[str]:
    """Return a line for each module of the folders whose name is a library's."""
    names: dict[str, None] = {}
    for folder in folders:
        try:
            there = sorted(folder.iterdir())
        except OSError:
            continue
        names |= dict.fromkeys(p.stem for p in there if p.suffix == ".py" or (p / "__init__.py").is_file())
    found = {name: _file_of(name, folders) for name in names if name.isidentifier()}
    return [
        f"{file} has the name of {_taken_by(name)}, which is imported in its place; rename the file if "
        "something is to import it"
        for name, file in found.items()
        if file is not None and not _is_itself(file) and _is_taken(name)
    ]


def is_library(file: Path) -> bool:
    """Return whether a file is of the standard library or of an installed package."""
    return _is_library(file.absolute())


# Asked of every module that is loaded, for each data set that is carried: to follow links is what takes long.
@functools.cache
def _is_library(file: Path) -> bool:
    file = file.resolve()
    return bool(_INSTALLED & set(file.parts)) or any(file.is_relative_to(folder) for folder in _LIBRARIES)


def import_users(module: str, folders: Sequence[Path]) -> ModuleType:
    """Import a module, of the user's or installed; this runs its code.

    Args:
        module: Its dotted name.
        folders: Where the user's own modules lie, from now on and for whatever the module imports too.

    Raises:
        ImportError: There is none, or it fails. Whatever else its code raises comes through.
    """
    folders = folders or code_folders()
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    sys.meta_path.insert(0, _Finder(folders))
    # Behind all others, for packages without an __init__, and for processes that the user's code starts.
    sys.path += [str(folder) for folder in folders if str(folder) not in sys.path]
    # The file may be younger than the folder listing that Python keeps.
    importlib.invalidate_caches()
    return importlib.import_module(module)


def safe_path() -> list[str]:
    """Return Python's search path with the folder of the script, or the current one, behind all others.

    What the user has put into PYTHONPATH stays where it is. This package is found where it was found.
    """
    chosen = {*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))}
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    beside = set() if script is None else {str(Path(script).absolute().parent)}
    moved = {"", str(Path.cwd()), *beside} - chosen
    path = [entry for entry in sys.path if entry not in moved]
    behind = [entry or str(Path.cwd()) for entry in sys.path if entry in moved]
    root = str(Path(str(fmnist_sweep.__file__)).parents[1])
    other = PathFinder.find_spec(_OURS, path)
    if root not in path and other is not None and other.origin != fmnist_sweep.__file__:
        # Sources that are run without having been installed, beside others that have.
        path.insert(0, root)
    return [*path, *dict.fromkeys(behind)]


class _Finder:
    """Finds modules of the user's, but for those whose names are a library's."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        """Find a module at the top; those of packages are found by the packages."""
        return None if path is not None else _own_module(name, self._folders)


def _own_module(name: str, folders: Sequence[Path]) -> ModuleSpec | None:
    spec = PathFinder.find_spec(name, [str(folder) for folder in folders])
    # A folder without an __init__ is a package only where there is nothing else of its name.
    return spec if spec is not None and spec.origin is not None and not _is_taken(name) else None


def _file_of(name: str, folders: Sequence[Path]) -> str | None:
    spec = PathFinder.find_spec(name, [str(folder) for folder in folders])
    return None if spec is None else spec.origin


def _is_itself(file: str) -> bool:
    return Path(file).resolve() == Path(str(fmnist_sweep.__file__)).resolve()


def _is_taken(name: str) -> bool:
    """Return whether a name is one of the standard library, of this package, or of what it needs."""
    if name == _OURS or name in sys.stdlib_module_names:
        return True
    # Looking through all packages takes a while: only for what is installed.
    spec = PathFinder.find_spec(name, _installed_path())
    return spec is not None and spec.origin is not None and name in _needed_names()


def _taken_by(name: str) -> str:
    if name in sys.stdlib_module_names:
        return f"the module {name} of Python's standard library"
    return f"the package {name}, which fmnist-sweep needs" if name != _OURS else "fmnist-sweep itself"


def _installed_path() -> list[str]:
    return [entry for entry in sys.path if Path(entry).name in _INSTALLED]


@functools.cache
def _needed_names() -> frozenset[str]:
    """Return the modules of all packages that this one needs; of all packages where it was not installed."""
    names = importlib.metadata.packages_distributions()
    needed: set[str] = set()
    waiting = [_DISTRIBUTION]
    while waiting:
        name = _normal(waiting.pop())
        if name in needed:
            continue
        needed.add(name)
        try:
            requirements = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            if name == _DISTRIBUTION:
                return frozenset(names)
            continue
        waiting += [
            match.group() for line in requirements if (match := re.match(r"[A-Za-z0-9][\w.-]*", line))
        ]
    return frozenset(top for top, of in names.items() if needed & {_normal(name) for name in of})


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
