"""What can be chosen by name: a table of our own first, then the entry points of installed packages."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping
from typing import Any

from fmnist_sweep.core.errors import ConfigError, did_you_mean


class Registry:
    """Names, and what each stands for.

    A package adds a name with an entry point::

        [project.entry-points."fmnist_sweep.engines"]
        mine = "my_package.engines:MyEngine"

    Args:
        what: What is chosen, in a word, such as ``"engine"``.
        group: The entry points' group, such as ``"fmnist_sweep.engines"``.
        built_in: Import paths ``"package.module:name"`` of our own by their names. They stand in a table
            since a folder of sources that was never installed has no entry points. No package takes their
            names.

    Example:
        >>> parts = Registry("word list", "fmnist_sweep.none", {"keywords": "keyword:kwlist"})
        >>> parts.load("keywords")[0]
        'False'
    """

    def __init__(self, what: str, group: str, built_in: Mapping[str, str]) -> None:
        self._what = what
        self._group = group
        self._built_in = built_in

    def names(self) -> list[str]:
        """Return all names, our own first."""
        return list(dict.fromkeys([*self._built_in, *sorted(self._added())]))

    def path(self, name: str) -> str:
        """Return the import path that a name stands for.

        Raises:
            ConfigError: There is no such name; the message lists those that there are.
        """
        # Looking through all installed packages takes a while: our own come without.
        path = self._built_in.get(name) or self._added().get(name)
        if path is None:
            names = self.names()
            allowed = f"(allowed: {', '.join(names)})"
            raise ConfigError(self._what, [f"unknown {name!r}{did_you_mean(name, names)} {allowed}"])
        return path

    def load(self, name: str) -> Any:
        """Import what a name stands for.

        Raises:
            ConfigError: There is no such name, or a package's own can't be imported.
        """
        path = self.path(name)
        module, _, attribute = path.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            if name in self._built_in:
                raise
            raise ConfigError(self._what, [f"{name}: {path} can't be imported: {error}"]) from error

    def _added(self) -> dict[str, str]:
        return {entry.name: entry.value for entry in importlib.metadata.entry_points(group=self._group)}
