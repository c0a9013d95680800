from __future__ import annotations

import pytest

from fmnist_sweep.config.defaults import default_notes, default_point
from fmnist_sweep.core.jobs import Scalar
from fmnist_sweep.core.space import ChoiceParameter, FloatParameter, IntParameter, Parameter, SearchSpace
from fmnist_sweep.models.catalog import ModelSpace


def own(parameter: Parameter, default: Scalar) -> ModelSpace:
    return ModelSpace("net:Net", SearchSpace({"a": parameter}), {"a": default})


@pytest.mark.parametrize(
    ("parameter", "default", "stands_for_it"),
    [
        (IntParameter(low=32, high=256, step=32), 100, 96),
        (IntParameter(low=32, high=256, step=32), 112, 96),
        (IntParameter(low=32, high=256, step=32), 1000, 256),
        (IntParameter(low=32, high=256, step=32), 0, 32),
        (IntParameter(low=1, high=2**53, step=2), 10**12, 10**12 - 1),
        (FloatParameter(low=0.0, high=0.5, step=0.1), 0.26, 0.3),
        (FloatParameter(low=1e-4, high=1e-1, log=True), 0.5, 0.1),
        (ChoiceParameter(choices=(1, 2)), 3, 1),
    ],
)
def test_a_default_off_the_grid_is_moved_to_it_and_told(
    parameter: Parameter, default: Scalar, stands_for_it: Scalar
) -> None:
    """The nearest value that the model's own declaration reaches, the lower of two."""
    model = own(parameter, default)
    assert default_point(model.space, model) == {"a": stands_for_it}
    said = f"the default a {default} is no point of the space; {stands_for_it} stands for it"
    assert default_notes(model.space, model) == [said]


def test_a_default_on_the_grid_needs_no_word() -> None:
    """Nor one that a sweep file has room for, though the model's own steps don't reach it."""
    for parameter, default in (
        (IntParameter(low=32, high=256, step=32), 96),
        (IntParameter(low=1, high=2), 2),
    ):
        model = own(parameter, default)
        assert default_notes(model.space, model) == []
    model = own(IntParameter(low=32, high=256, step=32), 100)
    wider = SearchSpace({"a": IntParameter(low=90, high=110)})
    assert (default_point(wider, model), default_notes(wider, model)) == ({"a": 100}, [])


def test_a_default_that_the_sweep_leaves_out_is_told() -> None:
    """Where the file narrows the space, and where it adds what the model has no default of."""
    model = own(IntParameter(low=1, high=9), 5)
    narrow = SearchSpace({"a": IntParameter(low=6, high=9)})
    none = "the model's default configuration is not tried, nor compared with: "
    assert default_notes(narrow, model) == [f"{none}a 5 is not in the space"]
    more = SearchSpace({"a": IntParameter(low=1, high=9), "batch_size": ChoiceParameter(choices=(32, 64))})
    assert default_notes(more, model) == [f"{none}the model names no default of batch_size"]
