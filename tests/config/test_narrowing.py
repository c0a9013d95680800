"""Entries of a space without a type are looked at before the model is."""

from __future__ import annotations

import pytest

from fmnist_sweep.config.loading import parse_config
from fmnist_sweep.config.narrowing import narrowing_problems
from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.space import SearchSpace
from fmnist_sweep.models import catalog


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"low": 0.1, "high": 0.01}, ": low=0.1 is above high=0.01; swap them"),
        ({"low": "x"}, ".low: must be a number, got 'x'"),
        ({"low": float("nan")}, ".low: must be a finite number, got nan"),
        ({"step": 0}, ": step must be above 0, got 0"),
        ({"log": True, "low": 0}, ": log needs low > 0, got low=0; raise low or drop log"),
        ({"choices": [4, 4]}, ": choices hold 4 twice; name each value once"),
        ({"value": [1]}, ".value: must be a number, a text, true or false; got [1]"),
        ({"when": 3}, ".when: must be a table of settings, got 3"),
        ({"low": 4, "choices": [4]}, ".choices: unknown key (allowed: high, log, low, step, type, when)"),
    ],
)
def test_what_no_model_can_mend_is_told(entry: dict[str, object], told: str) -> None:
    """One line each, with its path."""
    assert narrowing_problems({"units": entry}) == [f"space.units{told}"]


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"low": 0.5},
        {"high": -3},
        {"low": 1, "high": 8, "step": 2},
        {"log": True},
        {"choices": ["a", 1]},
        7,
        {"type": "int", "low": 3, "high": 1},
        "relu",
        {"value": "relu"},
        {"when": {"kind": ["deep"]}},
    ],
)
def test_what_a_model_may_make_whole_is_left_to_it(entry: object) -> None:
    """The other end, the type and the values are its to say; entries with a type are told elsewhere."""
    assert narrowing_problems({"units": entry}) == []


def test_all_problems_are_told_before_a_model_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Finding its space loads TensorFlow."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("the model was looked at")

    monkeypatch.setattr(catalog, "model_space", never)
    space = {"epochs": 2, "units": {"low": 9, "high": 4}, "rate": {"hihg": 1}}
    with pytest.raises(ConfigError) as caught:
        parse_config({"study": "s", "model": "net:Net", "space": space, "budget": {"trials": 0}}, where="s")
    told = str(caught.value)
    assert "3 problems" in told
    assert all(part in told for part in ("space.units", "space.rate.hihg", "budget.trials"))


@pytest.mark.parametrize(("entry", "wrong"), [({"low": 1, "high": 3}, False), ({"low": 0, "high": 3}, True)])
def test_epochs_without_a_type_are_known_by_their_keys(
    entry: dict[str, int], wrong: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few models ask for their number of epochs; what can be none is told before the model is looked at."""
    looked = []

    def own(*_: object, **__: object) -> catalog.ModelSpace:
        looked.append(True)
        return catalog.ModelSpace("net:Net", SearchSpace({}), {})

    monkeypatch.setattr(catalog, "model_name_problems", lambda *_: [])
    monkeypatch.setattr(catalog, "model_space", own)
    settings = {"study": "s", "model": "net:Net", "space": {"epochs": entry}}
    if wrong:
        with pytest.raises(ConfigError, match=r"space\.epochs: must be whole numbers from 1"):
            parse_config(settings, where="s")
        assert not looked
    else:
        assert list(parse_config(settings, where="s").epochs) == [1, 2, 3]
