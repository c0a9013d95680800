"""What can be chosen by name."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pytest

from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.registry import Registry

GROUP = "fmnist_sweep.things"


@pytest.fixture
def things(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A thing of ours, and some of installed packages."""
    points = [
        importlib.metadata.EntryPoint("theirs", "json:dumps", GROUP),
        importlib.metadata.EntryPoint("ours", "json:loads", GROUP),
        importlib.metadata.EntryPoint("broken", "no_such_module:thing", GROUP),
    ]

    def entry_points(*, group: str) -> list[Any]:
        return points if group == GROUP else []

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    return Registry("thing", GROUP, {"ours": "keyword:kwlist"})


def test_our_own_comes_first(things: Registry) -> None:
    """No package takes the name of one of ours."""
    assert things.names() == ["ours", "broken", "theirs"]
    assert "False" in things.load("ours")


def test_a_package_adds_a_name(things: Registry) -> None:
    """Its entry point is imported when it is asked for, and not before."""
    assert things.load("theirs")([]) == "[]"


def test_an_unknown_name_lists_those_that_there_are(things: Registry) -> None:
    """With the nearest one suggested."""
    with pytest.raises(ConfigError) as caught:
        things.load("their")
    assert caught.value.problems == (
        "unknown 'their'; did you mean 'theirs'? (allowed: ours, broken, theirs)",
    )


def test_what_a_package_names_and_lacks_is_told(things: Registry) -> None:
    """A plug-in that can't be imported is the user's to mend."""
    with pytest.raises(ConfigError, match="broken: no_such_module:thing can't be imported: No module named"):
        things.load("broken")
