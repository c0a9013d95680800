"""Points of a space at which models are built before anything trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fmnist_sweep.config.sampling import build_problems, sample, tried_builds
from fmnist_sweep.config.sweep_config import SweepConfig


def test_points_are_distinct_and_the_same_every_time(make_config: Callable[..., SweepConfig]) -> None:
    """All of a space that holds fewer."""
    config = make_config()
    points = sample(config, 12)
    assert points == sample(config, 12)
    assert len({tuple(point.items()) for point in points}) == 12
    assert all(config.sampled_space.contains(point) for point in points)
    fixed = {name: value for name, value in points[0].items() if name != "depth"}
    few = make_config(space={**fixed, "depth": {"type": "int", "low": 1, "high": 1}, "epochs": 2})
    assert len(sample(few, 12)) == 1


def test_models_of_ours_are_not_built(
    make_config: Callable[..., SweepConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others are, unless nobody wants it."""
    asked: list[int] = []

    def tried(_: str, points: list[Any], **__: Any) -> dict[str, Any]:
        asked.append(len(points))
        return {"tried": len(points), "failed": 0, "parts": []}

    monkeypatch.setattr("fmnist_sweep.models.catalog.tried_builds", tried)
    config = make_config()
    own = replace(config, model_space=replace(config.model_space, n_parameters=None))
    for one, n in ((config, 5), (own, 0), (own, 5)):
        tried_builds(one, n, say=print)
    assert asked == [5]


def test_what_can_t_be_built_is_told_by_its_causes() -> None:
    """With how many have them; nothing is told of a space that is sound."""
    parts = [
        {"values": {"kernel": 7, "pool": 3}, "problem": "ValueError: too small", "n": 2},
        {"values": {}, "problem": "KeyError: 'a'", "n": 1},
    ]
    (told,) = build_problems({"tried": 20, "failed": 4, "parts": parts})
    assert told == (
        "space: 4 of 20 builds fail: for kernel 7, pool 3 (2 of them): ValueError: too small; "
        "for all (1 of them): KeyError: 'a'; and 1 more; narrow the space, or let build do without"
    )
    assert build_problems({"tried": 20, "failed": 0, "parts": []}) == []
