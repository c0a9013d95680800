"""Spaces found by building: user models of every kind, in this process and through the child."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.jobs import SplitSpec
from fmnist_sweep.core.space import ChoiceParameter, IntParameter
from fmnist_sweep.data.calls import Call
from fmnist_sweep.models import catalog

ROWS = np.zeros((8, 2), np.float32)

# KerasTuner loads Keras, and Keras TensorFlow.
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _in_the_user_s_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    # Where the package runs from its source folder, children in another folder find it by this.
    monkeypatch.setenv("PYTHONPATH", str(Path(catalog.__file__).parents[2]))
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])


def explored(path: str) -> Any:
    from fmnist_sweep.models.exploring import explore
    from fmnist_sweep.models.load import load_model

    return explore(load_model(path, input_shape=(28, 28, 1), n_classes=10), (28, 28, 1))


@pytest.mark.parametrize("model", ["dense", "cnn"])
def test_a_built_in_model_is_found_as_it_is_declared(model: str) -> None:
    """Exploring our own models gives the catalog's space, conditions and defaults."""
    info = catalog.MODELS[model]
    found = explored(info.path)

    assert dict(found.space.parameters) == dict(info.space.parameters)
    assert found.defaults == info.defaults
    assert found.n_parameters[0] < found.n_parameters[1]


def test_a_python_loop_gives_conditions() -> None:
    """``units_2`` of a loop over layers exists from the third layer on."""
    found = explored("user_models:Loop")

    assert {name: dict(found.space[name].when) for name in found.space} == {
        "layers": {},
        "units_0": {},
        "units_1": {"layers": (2, 3, 4)},
        "units_2": {"layers": (3, 4)},
        "units_3": {"layers": (4,)},
        "learning_rate": {},
    }
    assert found.space["units_3"] == IntParameter(low=8, high=24, step=8, when={"layers": (4,)})
    assert found.space["learning_rate"] == ChoiceParameter(choices=(1e-5, 1e-4, 1e-3, 1e-2))
    assert found.defaults["layers"] == 2


def test_scopes_are_taken_as_they_are() -> None:
    """KerasTuner's conditions, a loop inside a branch off the defaults, and names in scopes."""
    found = explored("user_models:Scopes")

    assert {name: dict(found.space[name].when) for name in found.space} == {
        "kind": {},
        "narrow_units": {"kind": ("narrow",)},
        "wide_units": {"kind": ("wide",)},
        "layers": {"kind": ("wide",)},
        "units_2": {"layers": (2, 3)},
        "units_3": {"layers": (3,)},
        "head/activation": {},
    }
    assert found.defaults["wide_units"] == 64


def test_many_layers_are_followed_one_by_one() -> None:
    """A range too long to try whole is, once its ends show different parameters."""
    found = explored("user_models:ManyLayers")

    assert found.space["units_0"].when == {}
    for i in range(1, 12):
        assert found.space[f"units_{i}"].when == {"layers": tuple(range(i + 1, 13))}


def test_two_parents_that_act_only_together_are_found() -> None:
    """Random points bring up what no single change shows."""
    found = explored("user_models:Together")

    assert found.space["momentum"].when == {"deep": (True,), "norm": (True,)}


def test_one_declaration_in_several_scopes_is_one_parameter() -> None:
    """It exists wherever one of the scopes is active."""
    assert explored("user_models:SeveralScopes").space["units"].when == {"kind": ("a", "b")}


def test_a_model_without_an_input_is_counted_for_the_images() -> None:
    """Weights are counted for the shape that was asked for."""
    assert explored("user_models:Shape").n_parameters == (785 * 2 + 3 * 10, 785 * 4 + 5 * 10)


def test_a_value_that_fails_to_build_stays_in_the_space() -> None:
    """Trials there will fail with their reason; the rest is searched."""
    space = explored("user_models:RaisesAtOneValue").space

    assert space["kind"].values() == ("good", "bad")
    assert space["units"].when == {}


def test_of_two_ranges_of_one_name_the_first_is_searched() -> None:
    """KerasTuner's rule; both branches are searched, and what is not used is told."""
    found = explored("user_models:TwoWays")

    assert found.space["units"] == IntParameter(low=2, high=8)
    assert found.space["wide"].values() == (False, True)
    assert found.notes == (
        (
            "units is declared as int 2 to 8 and as int 100 to 200: KerasTuner takes the first that a build "
            "declares, so int 2 to 8 is searched, and int 100 to 200 is not used; give each its own name"
        ),
    )


def test_what_can_not_be_built_is_told_by_its_cause() -> None:
    """Both values that act together are named, the default among them, and no other."""
    found = explored("user_models:TooSmall")

    (note,) = found.notes
    assert re.fullmatch(
        r"build fails for kernel 7, pool 3: ValueError: too small \(.*user_models.py:\d+\) "
        r"\(\d+ of \d+ builds that were tried\)",
        note,
    )


def test_a_space_that_can_be_built_has_no_notes() -> None:
    """Nothing is said of what is as it should be."""
    assert explored("user_models:Loop").notes == ()


@pytest.mark.parametrize(
    ("kind", "layer"),
    [
        ("plain", None),
        ("standardised", None),
        ("back and forth", None),
        ("divided", "Rescaling"),
        ("adapted to bytes", "Normalization"),
        ("inner model", "Rescaling"),
        ("functional", "Rescaling"),
        ("operation", "TrueDivide"),
        ("after flattening", "Rescaling"),
        ("behind weights", None),
    ],
)
def test_a_model_that_scales_its_input_is_seen(kind: str, layer: str | None) -> None:
    """By what becomes of black and white in front of the first weights."""
    from fmnist_sweep.models.input_scale import shrinks_input, takes_bytes

    model = importlib.import_module("user_models").scaling_model(kind)
    found = shrinks_input(model, (8, 8, 1))
    assert (found is None) == (layer is None), found
    assert found is None or f"({layer}) turns 0..1 into 0..0.0" in found
    # None of these makes 0..255 small.
    assert takes_bytes(model, (8, 8, 1)) == (layer is not None)


def test_builds_of_a_sweep_s_points_tell_what_fails_for_what() -> None:
    """By as few values as tell it; where nothing builds, by the first reason."""
    from fmnist_sweep.models.building_sample import tried_builds
    from fmnist_sweep.models.load import load_model

    model = load_model("user_models:TooSmall", input_shape=(8, 8, 1), n_classes=3)
    points = [{"kernel": k, "pool": p, "units": u} for k in (3, 7) for p in (2, 3) for u in (2, 4)]
    found = tried_builds(model, points, (8, 8, 1))
    assert (found["tried"], found["failed"]) == (8, 2)
    (part,) = found["parts"]
    assert (part["values"], part["n"]) == ({"kernel": 7, "pool": 3}, 2)
    assert part["problem"].startswith("ValueError: too small")
    none = tried_builds(model, [points[-1]], (8, 8, 1))
    assert (none["failed"], none["parts"][0]["values"]) == (1, {})


def test_a_model_that_shrinks_whatever_it_gets_is_given_scaled_images() -> None:
    """Bytes would be no better for it."""
    from fmnist_sweep.models.input_scale import shrinks_input, takes_bytes

    keras = importlib.import_module("keras")
    layers = [keras.Input((8, 8, 1)), keras.layers.Rescaling(1e-5), keras.layers.Dense(3)]
    model = keras.Sequential(layers)
    assert shrinks_input(model, (8, 8, 1)) is not None
    assert not takes_bytes(model, (8, 8, 1))


def test_looking_at_a_model_draws_from_no_generator() -> None:
    """A trial's curve does not depend on whether its images were looked at."""
    from fmnist_sweep.models.input_scale import takes_bytes

    keras = importlib.import_module("keras")
    first = [keras.layers.RandomTranslation(0.5, 0.5), keras.layers.Dropout(0.5)]
    model = keras.Sequential([keras.Input((8, 8, 1)), *first, keras.layers.Flatten(), keras.layers.Dense(3)])
    before = [variable.numpy().tolist() for variable in model.variables]
    assert not takes_bytes(model, (8, 8, 1))
    assert [variable.numpy().tolist() for variable in model.variables] == before


def test_scaling_is_noted_where_images_are_scaled_already() -> None:
    """Floats that go beyond 0..1 may well be scaled by the model."""
    from fmnist_sweep.models.exploring import explore
    from fmnist_sweep.models.load import load_model

    model = load_model("user_models:Scaled", input_shape=(8, 8, 1), n_classes=3)
    assert explore(model, (8, 8, 1)).notes == ()
    for scaled, said in (
        ("bytes", "it gets the images as they are, 0 to 255"),
        ("floats", "the images lie in 0..1 already"),
    ):
        (note,) = explore(model, (8, 8, 1), scaled=scaled).notes
        assert said in note


@pytest.mark.parametrize(("name", "sometimes"), [("Either", "momentum"), ("OnAFloat", "spatial")])
def test_conditions_that_no_list_can_say_are_searched_all_the_same(name: str, sometimes: str) -> None:
    """The parameter is drawn for every trial, and the user is told."""
    from fmnist_sweep.models.exploring import explore
    from fmnist_sweep.models.load import load_model

    model = load_model(f"user_models:{name}", input_shape=(8, 8, 1), n_classes=3)
    found = explore(model, (8, 8, 1))
    assert found.sometimes == (sometimes,)
    assert not found.space[sometimes].when
    (note,) = found.notes
    assert f"{sometimes} exists under conditions that no list of values can say" in note


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Raises", [r"build with its default values failed: ValueError: .*'eight' \(.*user_models.py:\d+\)"]),
        ("ReturnsNothing", ["build with its default values failed: it returned NoneType"]),
        ("ReverseLog", ['decay: sampling="reverse_log" can\'t', 'units: sampling="reverse_log" can\'t']),
    ],
)
def test_what_a_sweep_cannot_search_is_told(name: str, said: list[str]) -> None:
    """Every problem is one line that names the parameter and the way out."""
    with pytest.raises(ConfigError) as caught:
        explored(f"user_models:{name}")

    assert len(caught.value.problems) == len(said)
    for problem, pattern in zip(caught.value.problems, said, strict=True):
        assert re.search(pattern, problem), problem


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        ((ROWS,), {}, r"the model's loss needs targets, and there is no y; give x and y$"),
        ((ROWS, ROWS), {"validaton_split": 0.2}, r"'validaton_split'; did you mean 'validation_split'\?$"),
        ((ROWS, np.array(["a"] * 8)), {}, r"labels as numbers, np.unique\(y, return_inverse=True\)\[1\]$"),
    ],
)
def test_a_fit_that_fails_is_told_as_one(args: Any, kwargs: dict[str, Any], said: str) -> None:
    """With what mends it, and without a place in a library's file."""
    import keras

    from fmnist_sweep.models.calling import Tasting
    from fmnist_sweep.models.exploring import explore
    from fmnist_sweep.models.load import FromFunction

    def build(hp: Any) -> Any:
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(hp.Int("units", 1, 2))])
        model.compile("sgd", "mse")
        return model

    tasting = Tasting(Call(args, kwargs), SplitSpec())
    with pytest.raises(ConfigError) as caught:
        explore(FromFunction(build), (), tasting=tasting)
    (problem,) = caught.value.problems
    assert problem.startswith("fit with its default values failed: ")
    assert re.search(said, problem), problem


def test_a_space_that_takes_too_many_builds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exploring ends in any case."""
    from fmnist_sweep.models import exploring

    monkeypatch.setattr(exploring, "MAX_BUILDS", 5)

    with pytest.raises(ConfigError, match="its space is not known after 5 builds"):
        explored("user_models:Loop")


def test_the_parent_learns_the_space_without_loading_keras() -> None:
    """The catalog asks a child: what the model prints does no harm, and no TensorFlow is loaded."""
    code = (
        "import sys\n"
        "from fmnist_sweep.models import catalog\n"
        "found = catalog.model_space('user_models:Loop')\n"
        "print(list(found.space), found.defaults['layers'], found.seen_n_parameters)\n"
        "print({'keras', 'keras_tuner', 'tensorflow', 'user_models'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    names = ["layers", "units_0", "units_1", "learning_rate", "units_2", "units_3"]
    assert done.stdout == f"{names} 2 (6370, 20890)\nset()\n"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("no_such_models:Net", "no module 'no_such_models'"),
        ("user_models:Raises", "ValueError: invalid literal for int() with base 10: 'eight'"),
        ("user_models:Leaves", "build with its default values failed: SystemExit: 0 ("),
        ("user_models:GivesUp", "build with its default values failed: _GaveUpError: out of ideas ("),
        ("user_models:LeavesHard", "the process that builds it ended with exit code 0 before it was done"),
    ],
)
def test_a_user_s_mistake_is_one_plain_line(path: str, said: str) -> None:
    """The child's message reaches the user without a traceback or TensorFlow's greetings."""
    with pytest.raises(ConfigError) as caught:
        catalog.model_space(path)

    assert caught.value.where == f"model {path}"
    assert len(caught.value.problems) == 1
    assert said in caught.value.problems[0]


def test_a_model_that_copies_its_process_is_explored_once() -> None:
    """Each copy would build again, and copy itself: they end as `build` returns."""
    assert list(catalog.model_space("user_models:Copies").space) == ["units"]


def test_the_builds_have_a_deadline() -> None:
    """The line that they were at is told."""
    with pytest.raises(ConfigError) as caught:
        catalog.model_space("user_models:Hangs", seconds=40)
    (problem,) = caught.value.problems
    assert problem.startswith("its space was not found within 40 s; it was at ")
    assert "user_models.py:" in problem
