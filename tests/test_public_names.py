"""What the package promises: its public names, each documented, none changed in silence."""

from __future__ import annotations

import ast
import re

import public_names
import pytest
from programs import ROOT

import fmnist_sweep

AGAIN = "write it anew with: python tests/public_names.py"


def test_a_signature_changes_with_the_changelog_alone() -> None:
    """Whoever changes a public signature writes the text anew, and its digest into what is unreleased."""
    text = public_names.described()
    assert text == public_names.STORED.read_text(encoding="utf-8"), f"a public signature changed; {AGAIN}"
    unreleased = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("\n## ")[1]
    assert unreleased.startswith("Unreleased")
    told = f"`{public_names.digest(text)}`"
    assert told in unreleased, f"tell what changed for users under Unreleased, with the digest {told}"


def test_every_public_name_has_its_place() -> None:
    """The list of names and the table of their places are one."""
    assert sorted(fmnist_sweep._PLACES) == sorted(fmnist_sweep.__all__) == list(fmnist_sweep.__all__)
    assert set(fmnist_sweep.__all__) <= set(dir(fmnist_sweep))
    types = (ROOT / "fmnist_sweep" / "__init__.pyi").read_text(encoding="utf-8")
    assert [types.count(f" as {name}\n") for name in fmnist_sweep.__all__] == [1] * len(fmnist_sweep.__all__)
    assert all(f'"{name}"' in types for name in fmnist_sweep.__all__)
    with pytest.raises(AttributeError, match="tunr"):
        getattr(fmnist_sweep, "tunr")  # noqa: B009 - a name that is not there


@pytest.mark.parametrize("name", fmnist_sweep.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    """Its docstring, and those of its methods, name each argument; the reference has it."""
    found = public_names.definition(name)
    told = ast.get_docstring(found) or ""
    assert told
    methods = [found] if isinstance(found, ast.FunctionDef) else [*public_names.public_parts(found)]
    for method in methods:
        if isinstance(method, ast.AnnAssign):
            assert f"{ast.unparse(method.target)}: " in told
            continue
        own = told if method.name == "__init__" else ast.get_docstring(method) or ""
        assert own, f"{name}.{method.name}"
        for argument in (*method.args.posonlyargs, *method.args.args, *method.args.kwonlyargs):
            if argument.arg != "self":
                assert re.search(rf"\b{argument.arg}\b", own), f"{name}.{method.name}: {argument.arg}"
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert f"\n::: {fmnist_sweep._PLACES[name]}.{name}\n" in page
    assert f"`fs.{name}`" in page
