"""The parts that docs/architecture.md adds are found and used."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from test_layers import ALLOWED

from fmnist_sweep import data as data_sets
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core import metrics
from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.models import catalog
from fmnist_sweep.observers.opening import open_observers
from fmnist_sweep.search import run as running

PAGE = (Path(__file__).parent.parent / "docs" / "architecture.md").read_text("utf-8")
PART = re.compile(r"### An? (\w+)\n(.*?)```python\n(.*?)```", re.DOTALL)
PARTS = {name: (text, code) for name, text, code in PART.findall(PAGE)}
ENTRY = re.compile(r'entry-points\."(?P<group>[\w.]+)"\]\s+(?P<name>\w+) = "(?P<value>[\w:]+)"')


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """An installed package that holds all parts of the page, found by the entry points that stand there."""
    package = ModuleType("my_package")
    for name, (_, code) in PARTS.items():
        if name != "model":
            exec(compile(code, f"docs/architecture.md, {name}", "exec"), package.__dict__)  # noqa: S102
    points = [importlib.metadata.EntryPoint(**entry.groupdict()) for entry in ENTRY.finditer(PAGE)]
    monkeypatch.setitem(sys.modules, "my_package", package)
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda *, group: [p for p in points if p.group == group]
    )
    return package


def test_the_table_of_rooms_is_the_one_that_is_enforced() -> None:
    """Each row names the rooms of tests/test_layers.py."""
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| ([\w ]+) \|$", PAGE, re.MULTILINE))
    assert set(rows) == set(ALLOWED) - {"__main__"}
    whole = {"nothing": set[str](), "all of the above but models and training": set(ALLOWED["api"])}
    for room, named in rows.items():
        assert whole.get(named, set(named.split())) == set(ALLOWED[room]), room


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_added_in_under_ten_lines(name: str) -> None:
    """Empty ones aside."""
    code = [line for line in PARTS[name][1].splitlines() if line.strip()]
    assert len(code) < 10


@pytest.mark.usefixtures("added")
def test_a_sweep_runs_with_an_added_sampler_engine_and_observer(
    make_config: Callable[..., SweepConfig], data: DataRef, storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sampler gets its own settings, the engine the jobs, the observer every end of a trial."""
    monkeypatch.setattr(data_sets, "open_data", lambda *_args, **_options: data)
    monkeypatch.setattr(data_sets, "check_split", lambda *_args: [])
    monkeypatch.setattr(data_sets, "data_notes", lambda *_args, **_options: [])
    config = make_config(sampler={"name": "halton", "warn": False}, budget={"trials": 3})
    assert config.to_dict()["sampler"] == {
        "name": "added",
        "sampler": "halton",
        "settings": {"warn": False},
        "seed": 0,
        "enqueue_default": True,
    }
    (lines,) = open_observers(["lines"])
    running.run_sweep(
        config, storage_url=storage_url, say=lambda _: None, observers=[lines], engine="rehearsal"
    )
    told: Any = lines
    assert told.told == [f"{n} COMPLETE after 4 epochs" for n in range(3)]


@pytest.mark.usefixtures("added")
def test_an_added_model_is_named_like_one_of_ours() -> None:
    """A sweep file needs no import path."""
    assert catalog.model_name_problems("linear") == []
    assert catalog.HYPERMODELS.path("linear") == "my_package:Linear"
    assert "unknown model 'lineer'; did you mean 'linear'?" in catalog.model_name_problems("lineer")[0]


def test_an_added_metric_is_scored(added: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less is better: the gap is validation minus train, and the score is negative."""
    monkeypatch.setattr(metrics, "METRICS_BY_NAME", {**metrics.METRICS_BY_NAME, "error": added.error})
    curve = LearningCurve((EpochScores(0, {"error": 0.10}, {"error": 0.14}),))
    rule: Any = ScoreRule
    made = rule(metric="error", penalty=1.0, tolerance=0.01)
    assert made.gaps(curve).round(6).tolist() == [0.04]
    assert made.scores(curve).tolist() == [-0.17]
