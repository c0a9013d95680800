"""Values and declarations between ours and KerasTuner's."""

from __future__ import annotations

from typing import Any

import pytest

from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.jobs import Scalar
from fmnist_sweep.core.space import (
    ChoiceParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    SearchSpace,
)

# KerasTuner loads Keras, and Keras TensorFlow.
pytestmark = pytest.mark.slow


def fresh() -> Any:
    import keras_tuner

    return keras_tuner.HyperParameters()


def test_filled_values_answer_every_lookup() -> None:
    """Whatever a HyperModel declares, scopes included, it gets our value, even one out of its range."""
    from fmnist_sweep.models.hyperparameters import filled

    hp = filled({"units": 3000, "head/kind": "b", "rate": 0.5, "flag": True})

    assert hp.Int("units", 1, 8) == 3000
    with hp.name_scope("head"):
        assert hp.Choice("kind", ["a", "b"]) == "b"
        with hp.conditional_scope("kind", ["a"]):
            assert hp.Float("left_out", 0.0, 1.0) is None
        with hp.conditional_scope("kind", ["b"]):
            assert hp.Int("depth", 2, 3) == 2, "not given: its default"
    assert hp.Float("rate", 0.0, 0.1, parent_name="units", parent_values=[3000]) == 0.5
    assert hp.Boolean("flag") is True
    assert hp.get("units") == 3000


def test_what_is_filled_in_does_not_change_with_the_lookups() -> None:
    """The caller's mapping is left alone."""
    from fmnist_sweep.models.hyperparameters import filled

    values = {"units": 3}
    filled(values).Int("depth", 1, 2)

    assert values == {"units": 3}


def test_asking_for_a_space_declares_it_whole() -> None:
    """KerasTuner knows every parameter with its conditions; only the active ones have values."""
    from fmnist_sweep.models.hyperparameters import ask, to_parameter

    space = SearchSpace(
        {
            "kind": ChoiceParameter(choices=("a", "b")),
            "deep": ChoiceParameter(choices=(False, True)),
            "rate": FloatParameter(low=1e-3, high=1.0, log=True),
            "share": FloatParameter(low=0.0, high=1.0, step=0.25),
            "units": IntParameter(low=1, high=9, step=2, when={"kind": ("b",), "deep": (True,)}),
            "width": IntParameter(low=1, high=9, log=True, when={"units": (1, 3)}),
            "author": FixedParameter(value="me", when={"kind": ("a", "b")}),
        }
    )
    defaults: dict[str, Scalar] = {
        "kind": "a", "deep": True, "rate": 0.1, "share": 0.5, "units": 3, "width": 4, "author": "me",
    }  # fmt: skip
    hp = fresh()
    values = ask(hp, space, defaults)

    assert values == {"kind": "a", "deep": True, "rate": 0.1, "share": 0.5, "author": "me"}
    assert {asked.name: to_parameter(asked) for asked in hp.space} == dict(space.parameters)
    assert {asked.name: asked.default for asked in hp.space} == defaults
    hp.values.update(kind="b", units=3)
    hp.ensure_active_values()
    assert set(ask(hp, space, defaults)) == set(space)


def test_asking_inside_a_name_scope_keeps_the_conditions() -> None:
    """A HyperModel of ours may be a part of a user's: names and their parents get the same prefix."""
    from fmnist_sweep.models.hyperparameters import ask

    space = SearchSpace(
        {
            "deep": ChoiceParameter(choices=(False, True)),
            "units": IntParameter(low=1, high=2, when={"deep": (True,)}),
        }
    )
    hp = fresh()
    with hp.name_scope("net"):
        assert ask(hp, space, {"deep": False, "units": 1}) == {"deep": False}
        hp.values["net/deep"] = True
        hp.ensure_active_values()
        assert set(ask(hp, space, {"deep": False, "units": 1})) == {"deep", "units"}


def test_a_fixed_value_is_heard_even_where_the_space_has_none() -> None:
    """Nothing that the user fixed is dropped silently."""
    from fmnist_sweep.models.hyperparameters import ask, filled

    space = SearchSpace(
        {
            "deep": ChoiceParameter(choices=(False, True)),
            "units": IntParameter(low=1, high=2, when={"deep": (True,)}),
        }
    )

    values = ask(filled({"units": 2}), space, {"deep": False, "units": 1})
    assert values == {"deep": False, "units": 2}


def declared(kind: str, *args: Any, **options: Any) -> Any:
    hp = fresh()
    getattr(hp, kind)("x", *args, **options)
    return hp.space[0]


@pytest.mark.parametrize(
    ("kind", "args", "options", "expected"),
    [
        ("Int", (1, 8), {}, IntParameter(low=1, high=8)),
        ("Int", (32, 100), {"step": 32}, IntParameter(low=32, high=96, step=32)),
        ("Int", (1, 100), {"sampling": "log"}, IntParameter(low=1, high=100, log=True)),
        ("Int", (16, 300), {"sampling": "log", "step": 2}, ChoiceParameter(choices=(16, 32, 64, 128, 256))),
        ("Int", (3, 3), {}, IntParameter(low=3, high=3)),
        ("Float", (0, 1), {}, FloatParameter(low=0.0, high=1.0)),
        ("Float", (0.0, 1.0), {"step": 0.2}, FloatParameter(low=0.0, high=1.0, step=0.2)),
        ("Float", (0.0, 0.5), {"step": 0.2}, FloatParameter(low=0.0, high=0.4, step=0.2)),
        ("Float", (1e-5, 1e-2), {"sampling": "log"}, FloatParameter(low=1e-5, high=1e-2, log=True)),
        (
            "Float",
            (1e-5, 1e-2),
            {"sampling": "log", "step": 10},
            ChoiceParameter(choices=(1e-5, 1e-4, 1e-3, 1e-2)),
        ),
        ("Choice", (["a", "b", "a"],), {}, ChoiceParameter(choices=("a", "b"))),
        ("Choice", ([0.1, 0.2],), {"ordered": True}, ChoiceParameter(choices=(0.1, 0.2))),
        ("Boolean", (), {"default": True}, ChoiceParameter(choices=(False, True))),
        ("Fixed", (7,), {}, FixedParameter(value=7)),
    ],
)
def test_a_declaration_of_kerastuner_has_our_counterpart(
    kind: str, args: tuple[Any, ...], options: dict[str, Any], expected: Parameter
) -> None:
    """Ranges, steps, factors and choices come over; a range ends at its last step."""
    from fmnist_sweep.models.hyperparameters import to_parameter

    assert to_parameter(declared(kind, *args, **options)) == expected


@pytest.mark.parametrize("kind", ["Int", "Float"])
def test_a_reversed_log_range_has_none(kind: str) -> None:
    """What Optuna can't sample is refused, with what to write instead."""
    from fmnist_sweep.models.hyperparameters import to_parameter

    with pytest.raises(ConfigError, match='use "log" or "linear"'):
        to_parameter(declared(kind, 1, 8, sampling="reverse_log"))


def test_nested_conditions_come_over() -> None:
    """All parents are kept; two scopes on one parent leave what both allow."""
    from fmnist_sweep.models.hyperparameters import to_parameter

    hp = fresh()
    hp.Choice("kind", ["a", "b", "c"])
    with hp.conditional_scope("kind", ["a", "b"]):
        hp.Int("units", 1, 8)
        with hp.conditional_scope("units", [3, 4]):
            hp.Boolean("deep")
    parameters = {asked.name: to_parameter(asked) for asked in hp.space}

    assert parameters["units"].when == {"kind": ("a", "b")}
    assert parameters["deep"].when == {"kind": ("a", "b"), "units": (3, 4)}
