"""Which observers a run tells, and what is said of those that it can't."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fmnist_sweep.config.loading import load_config
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.registry import Registry
from fmnist_sweep.observers import opening


class Lines(Observer):
    """Takes one setting."""

    def __init__(self, path: str = "lines.txt") -> None:
        if path == "locked":
            raise PermissionError("it is locked")
        self.path = path


@pytest.fixture(autouse=True)
def lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """One observer that needs nothing, beside those that there are."""
    known = {"lines": f"{__name__}:Lines", "tensorboard": "fmnist_sweep.observers.tensorboard:TensorBoard"}
    monkeypatch.setattr(opening, "OBSERVERS", Registry("observers", "fmnist_sweep.none", known))


def test_an_observer_is_made_with_its_settings() -> None:
    """A name alone takes the defaults."""
    made: list[Any] = opening.open_observers({"lines": {"path": "a.txt"}})
    named: list[Any] = opening.open_observers(["lines"])
    assert [made[0].path, named[0].path] == ["a.txt", "lines.txt"]


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not there, what is not installed, what it doesn't take: each with what is allowed."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError) as caught:
        opening.open_observers({"lins": {}, "tensorboard": {}, "lines": {"file": "a"}})
    assert caught.value.problems == (
        "unknown 'lins'; did you mean 'lines'? (allowed: lines, tensorboard)",
        "tensorboard needs tensorboardX, which is not installed; pip install 'fmnist-sweep[tensorboard]'",
        "lines has no setting 'file' (allowed: path)",
    )


def test_an_observer_that_can_not_be_opened_is_told_before_the_run() -> None:
    """Its own words, in one line."""
    with pytest.raises(ConfigError, match=r"lines can't be opened: .*it is locked"):
        opening.open_observers({"lines": {"path": "locked"}})


def test_observers_of_a_file_decide_nothing_and_are_not_stored(
    make_config: Callable[..., SweepConfig], tmp_path: Path
) -> None:
    """An address may hold a password; and the trials are the same, whoever is told."""
    told = make_config(observers={"mlflow": {"tracking_uri": "http://me:secret@host"}})
    assert told.file.observers["mlflow"] == {"tracking_uri": "http://me:secret@host"}
    assert told.to_dict() == make_config().to_dict()
    file = tmp_path / "bad.toml"
    file.write_text('study = "a"\nmodel = "dense"\n[observers]\nlines = "a.txt"\n')
    with pytest.raises(ConfigError, match=r"observers\.lines"):
        load_config(file)
