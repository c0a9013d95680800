"""The laws of declared spaces."""

from __future__ import annotations

import itertools
import math
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fmnist_sweep.core.jobs import Scalar
from fmnist_sweep.core.space import (
    ChoiceParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    ParameterField,
    SearchSpace,
    condition_problems,
)

SCALARS: Final[tuple[Scalar, ...]] = (True, False, 1, 0, 2.5, "a", "b")

seeds = st.integers(0, 2**32 - 1)
# A busy machine takes its time; only wrong answers are failures.
law = settings(deadline=None)


@st.composite
def finite_parameters(draw: st.DrawFn) -> Parameter:
    kind = draw(st.sampled_from(["int", "float", "choice", "fixed"]))
    if kind == "int":
        low, step = draw(st.integers(-3, 3)), draw(st.integers(1, 3))
        return IntParameter(low=low, high=low + draw(st.integers(0, 4)), step=step)
    if kind == "float":
        start = draw(st.sampled_from([0.0, 0.1, -1.5]))
        return FloatParameter(low=start, high=start + draw(st.integers(0, 3)) * 0.1, step=0.1)
    if kind == "choice":
        options = st.sampled_from(SCALARS)
        chosen = draw(st.lists(options, min_size=1, max_size=4, unique_by=lambda v: (type(v), v)))
        return ChoiceParameter(choices=tuple(chosen))
    return FixedParameter(value=draw(st.sampled_from(SCALARS)))


@st.composite
def continuous_parameters(draw: st.DrawFn) -> Parameter:
    low = draw(st.floats(1e-6, 10))
    return FloatParameter(low=low, high=low * draw(st.floats(1.0, 1e4)), log=draw(st.booleans()))


@st.composite
def spaces(draw: st.DrawFn, *, continuous: bool = True) -> SearchSpace:
    """Up to five parameters, each under conditions on up to two earlier ones, declared in any order."""
    kinds = st.one_of(finite_parameters(), continuous_parameters()) if continuous else finite_parameters()
    parameters: dict[str, Parameter] = {}
    for name in "abcde"[: draw(st.integers(1, 5))]:
        listed = [earlier for earlier, parameter in parameters.items() if parameter.values() is not None]
        when = {}
        for parent in draw(st.lists(st.sampled_from(listed), max_size=2, unique=True)) if listed else []:
            values = st.sampled_from(list(parameters[parent].values() or ()))
            when[parent] = tuple(draw(st.lists(values, min_size=1, max_size=3)))
        parameters[name] = draw(kinds).model_copy(update={"when": when})
    order = draw(st.permutations(list(parameters)))
    return SearchSpace({name: parameters[name] for name in order})


def every_point(space: SearchSpace) -> set[frozenset[tuple[str, str]]]:
    """All points of a finite space, the plain way: every combination, less what its conditions rule out."""
    points = set()
    names = sorted(space.parameters)
    for combination in itertools.product(*(space[name].values() or () for name in names)):
        values = dict(zip(names, combination, strict=True))
        point: dict[str, Scalar] = {}
        for name in names:  # alphabetical order is parents first here
            conditions = space[name].when.items()
            if all(p in point and any(_same(point[p], v) for v in allowed) for p, allowed in conditions):
                point[name] = values[name]
        points.add(frozenset((name, repr(value)) for name, value in point.items()))
    return points


def _same(a: Scalar, b: Scalar) -> bool:
    return a == b and isinstance(a, bool) == isinstance(b, bool)


@law
@given(spaces(), seeds)
def test_a_random_point_belongs_to_the_space(space: SearchSpace, seed: int) -> None:
    """What is sampled is a complete point: in bounds, conditions kept, nothing missing, nothing else."""
    point = space.sample(np.random.default_rng(seed))

    assert space.contains(point)
    for name, parameter in space.parameters.items():
        assert (name in point) == space.active(name, point)
        ends = parameter.ends()
        if name in point and isinstance(parameter, IntParameter | FloatParameter):
            assert ends[0] <= point[name] <= ends[-1]  # type: ignore[operator]


@law
@given(spaces(), seeds)
def test_a_point_with_one_value_more_or_less_is_no_point(space: SearchSpace, seed: int) -> None:
    """A missing or a superfluous value is noticed."""
    point = space.sample(np.random.default_rng(seed))

    assert not space.contains({**point, "stranger": 1})
    for name in point:
        assert not space.contains({other: value for other, value in point.items() if other != name})


@law
@given(spaces(continuous=False))
def test_the_size_is_the_number_of_points(space: SearchSpace) -> None:
    """`size` counts what listing all combinations counts."""
    assert space.size == len(every_point(space))


@law
@given(spaces(continuous=False))
def test_the_corners_are_points(space: SearchSpace) -> None:
    """Every corner belongs to the space, and none comes twice."""
    corners = list(space.corners())
    written = {frozenset((name, repr(value)) for name, value in corner.items()) for corner in corners}

    assert all(space.contains(corner) for corner in corners)
    assert len(written) == len(corners) > 0


@law
@given(spaces(), seeds)
def test_completing_a_part_of_a_point_gives_the_point_back(space: SearchSpace, seed: int) -> None:
    """`complete` takes what is given and fills the rest from the defaults."""
    point = space.sample(np.random.default_rng(seed))
    kept = dict(itertools.islice(point.items(), len(point) // 2))

    assert space.complete(kept, point) == point


def test_a_continuous_space_is_infinite_unless_the_parameter_can_never_exist_twice() -> None:
    """A range counts as infinite, a range of one value as one."""
    assert SearchSpace({"a": FloatParameter(low=0.0, high=1.0)}).size == math.inf
    assert SearchSpace({"a": FloatParameter(low=1.0, high=1.0)}).size == 1


def test_corners_stop_at_their_limit() -> None:
    """A large space yields no more corners than were asked for."""
    space = SearchSpace({name: IntParameter(low=0, high=9) for name in "abcdefgh"})

    assert len(list(space.corners())) == 2**8
    assert len(list(space.corners(limit=10))) == 10


def test_parents_come_before_their_children() -> None:
    """Whatever the declared order, a parent is drawn first; otherwise the order stays."""
    space = SearchSpace(
        {
            "child": IntParameter(low=1, high=2, when={"parent": (1,)}),
            "free": FixedParameter(value=1),
            "parent": IntParameter(low=1, high=2),
        }
    )

    assert list(space) == ["free", "parent", "child"]


def test_a_child_of_a_missing_parent_is_missing() -> None:
    """A condition on a parameter that does not exist here does not hold."""
    space = SearchSpace(
        {
            "a": IntParameter(low=1, high=2),
            "b": ChoiceParameter(choices=("x", "y"), when={"a": (2,)}),
            "c": FixedParameter(value=True, when={"b": ("x", "y")}),
        }
    )

    assert space.fill(lambda _, parameter: parameter.ends()[0]) == {"a": 1}
    assert space.fill(lambda _, parameter: parameter.ends()[-1]) == {"a": 2, "b": "y", "c": True}


def test_what_cannot_vary_is_not_searched() -> None:
    """Fixed values and ranges of one value are no dimensions."""
    space = SearchSpace(
        {
            "fixed": FixedParameter(value=1),
            "narrow": FloatParameter(low=1.0, high=1.0),
            "whole": IntParameter(low=1, high=2),
            "real": FloatParameter(low=0.0, high=1.0),
        }
    )

    assert space.searched == ("whole", "real")
    assert list(space.without("whole", "real")) == ["fixed", "narrow"]


@law
@given(st.integers(1, 50), st.integers(0, 200), seeds)
def test_a_log_range_of_whole_numbers_reaches_both_ends(low: int, width: int, seed: int) -> None:
    """Log-uniform whole numbers stay whole and in bounds."""
    parameter = IntParameter(low=low, high=low + width, log=True)
    drawn = [parameter.random(np.random.default_rng((seed, i))) for i in range(20)]

    assert all(isinstance(value, int) and parameter.contains(value) for value in drawn)


def test_a_log_range_prefers_no_decade() -> None:
    """Half of the log-uniform draws lie below the geometric mean."""
    parameter, rng = FloatParameter(low=1e-4, high=1.0, log=True), np.random.default_rng(0)
    below = np.mean([float(parameter.random(rng)) < 1e-2 for _ in range(4000)])

    assert 0.47 < below < 0.53


def test_true_is_not_one() -> None:
    """A choice of booleans holds no numbers, nor the other way round."""
    assert not ChoiceParameter(choices=(False, True)).contains(1)
    assert not IntParameter(low=0, high=1).contains(True)
    assert not FloatParameter(low=0.0, high=1.0).contains(True)
    assert ChoiceParameter(choices=(1, True)).choices == (1, True)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"type": "float", "low": 1.0, "high": 0.1}, "low=1 is above high=0.1; swap them"),
        ({"type": "float", "low": 0.0, "high": 0.1, "log": True}, "log needs low > 0, got low=0"),
        ({"type": "int", "low": 0, "high": 8, "log": True}, "log needs low > 0"),
        ({"type": "int", "low": 1, "high": 8, "step": 0}, "step must be above 0"),
        ({"type": "float", "low": 0.1, "high": 8.0, "step": 0.1, "log": True}, "log and step exclude each"),
        ({"type": "int", "low": 9, "high": 0, "log": True}, "low=9 is above high=0"),
        ({"type": "choice", "choices": []}, "at least 1 item"),
        ({"type": "choice", "choices": ["a", "b", "a"]}, "choices hold 'a' twice"),
        ({"type": "float", "low": 0.0, "high": math.inf}, "finite number"),
        ({"type": "float", "low": 0.0, "high": math.nan}, "finite number"),
        ({"type": "int", "low": 1.5, "high": 2}, "valid integer"),
        ({"type": "int", "low": True, "high": 2}, "valid integer"),
        ({"type": "int", "low": 1, "high": 2, "hihg": 3}, "Extra inputs"),
        ({"type": "integer", "low": 1, "high": 2}, "does not match any of the expected tags"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(declared: dict[str, Any], said: str) -> None:
    """Each mistake of a declaration is named."""
    with pytest.raises(ValidationError, match="(?s)" + said.replace("(", r"\(")):
        TypeAdapter(ParameterField).validate_python(declared)


def test_all_mistakes_of_a_range_are_told_at_once() -> None:
    """Two mistakes, one error with both."""
    with pytest.raises(ValidationError) as caught:
        IntParameter(low=0, high=-1, log=True)

    assert "low=0 is above high=-1" in str(caught.value)
    assert "log needs low > 0" in str(caught.value)


@pytest.mark.parametrize("value", [3, 0.5, "adam", False])
def test_a_bare_value_is_a_fixed_parameter(value: Scalar) -> None:
    """``batch_size = 32`` in a sweep file fixes it, without becoming another type."""
    parameter = TypeAdapter(ParameterField).validate_python(value)

    assert isinstance(parameter, FixedParameter)
    assert parameter.value == value
    assert type(parameter.value) is type(value)


@law
@given(spaces())
def test_declarations_survive_json(space: SearchSpace) -> None:
    """A parameter written as JSON and read again is the same parameter."""
    adapter: TypeAdapter[Any] = TypeAdapter(dict[str, Parameter])
    written = adapter.dump_json(dict(space.parameters))

    assert adapter.validate_json(written) == dict(space.parameters)


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ({"dept": (1,)}, "unknown parameter 'dept'; known are depth"),
        ({"depth": (7,)}, "depth can never be 7"),
        ({"depth": ()}, "depth can never be an empty list"),
        ({"depth": (True,)}, "depth can never be True"),
        ({"units": (1,)}, "run in a circle"),
    ],
)
def test_a_wrong_condition_says_what_is_wrong(when: dict[str, tuple[Scalar, ...]], said: str) -> None:
    """Each mistake of a condition is named."""
    parameters: dict[str, Parameter] = {
        "depth": IntParameter(low=1, high=3),
        "units": IntParameter(low=1, high=8, when=when),
    }

    assert [said in problem for problem in condition_problems(parameters)] == [True]
    with pytest.raises(ValueError, match=said):
        SearchSpace(parameters)


def test_all_wrong_conditions_are_told_at_once() -> None:
    """Two mistakes, two lines."""
    wrong = {name: FixedParameter(value=1, when={"nobody": (1,)}) for name in ("a", "b")}

    assert len(condition_problems(wrong)) == 2


def test_a_space_does_not_change() -> None:
    """A space is shared between modules, so nobody can add to it."""
    space = SearchSpace({"a": FixedParameter(value=1)})

    with pytest.raises(TypeError):
        space.parameters["b"] = FixedParameter(value=2)  # type: ignore[index]
