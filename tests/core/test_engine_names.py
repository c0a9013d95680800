"""Which engines can be asked for, and how."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from fmnist_sweep.core.engine_names import engine_problems


@pytest.mark.parametrize("address", [None, "auto", "10.0.0.1:6379", "ray://head:10001", "[::1]:6379"])
def test_addresses_of_a_cluster(address: str | None) -> None:
    """Nothing is wrong with them."""
    assert not any(problem.startswith("engine.address") for problem in engine_problems("ray", address))


@pytest.mark.parametrize("address", ["", "head", ":6379", "head:port", "ray://head", "http://head:80/x"])
def test_what_is_no_address_is_refused(address: str) -> None:
    """With what is one."""
    problem = engine_problems("ray", address)[-1]
    assert problem.startswith(
        f"engine.address: {address!r} is no address of a Ray cluster; allowed are 'auto'"
    )


def test_all_that_is_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is missing comes with the command that installs it."""
    found = importlib.util.find_spec

    def without_ray(name: str, *arguments: Any) -> Any:
        return None if name == "ray" else found(name, *arguments)

    monkeypatch.setattr(importlib.util, "find_spec", without_ray)
    missing, address = engine_problems("ray", "head")
    assert missing == "engine.name: ray needs Ray, which is not installed; pip install 'fmnist-sweep[ray]'"
    assert address.startswith("engine.address: 'head'")


def test_a_name_that_there_is_not() -> None:
    """The nearest is named, and all that there are."""
    assert engine_problems("rai") == ["engine.name: unknown 'rai'; did you mean 'ray'? (allowed: local, ray)"]
