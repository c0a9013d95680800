"""HyperModels by import path, from the folder that the user works in."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fmnist_sweep.core.errors import ConfigError

# KerasTuner loads Keras, and Keras TensorFlow.
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder, which is the working directory but not on the import path."""
    shutil.copy(Path(__file__).with_name("user_models.py"), tmp_path / "user_models.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def load(path: str) -> Any:
    from fmnist_sweep.models.load import load_model

    return load_model(path, input_shape=(8, 8, 3), n_classes=4)


@pytest.mark.parametrize("name", ["Loop", "loop", "build_function"])
def test_a_class_an_instance_and_a_function_all_build(name: str) -> None:
    """What KerasTuner accepts as a HyperModel is accepted here."""
    from fmnist_sweep.models.hyperparameters import filled
    from fmnist_sweep.models.load import build_model

    hp = filled({"units_0": 16, "layers": 1, "units": 16})

    assert build_model(load(f"user_models:{name}"), hp).count_params() == 785 * 16 + 17 * 10


def test_what_the_data_decide_is_given_to_who_takes_it() -> None:
    """Shape and number of classes go to the constructor, under the names that are in use."""
    shape = load("user_models:Shape")
    ours = load("fmnist_sweep.models:DenseModel")

    assert (shape.input_shape, shape.num_classes) == ((8, 8, 3), 4)
    assert (ours.input_shape, ours.n_classes) == ((8, 8, 3), 4)


def test_kerastuner_s_old_way_of_declaring_works() -> None:
    """``declare_hyperparameters`` is called before ``build``."""
    from fmnist_sweep.models.hyperparameters import filled
    from fmnist_sweep.models.load import build_model

    model = build_model(load("user_models:OldStyle"), filled({"units": 5}))

    assert model.count_params() == 785 * 5 + 6 * 10


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("user_models", "'user_models' is no import path; write \"package.module:HyperModelClass\""),
        ("user_model:Loop", "no module 'user_model' in .* or among the installed packages; .*'user_models'"),
        ("fmnist_sweep.models.dens:DenseModel", "no module 'dens' in fmnist_sweep.models; .*mean 'dense'"),
        ("user_models.deep:Loop", "no module 'deep' in user_models"),
        ("user_models:Lop", r"no 'Lop' in module user_models \(.*user_models.py\); did you mean 'Loop'"),
        ("user_models:Zzz", "there are Copies, Either, .* and [0-9]+ more"),
        (
            "user_models:NoHyperModel",
            "the class NoHyperModel is no HyperModel; give a keras_tuner.HyperModel",
        ),
        ("user_models:number", "number, of type int, is no HyperModel"),
        ("user_models:NeedsMore", "NeedsMore can't be made: TypeError: .*'width'"),
    ],
)
def test_a_path_that_leads_nowhere_says_what_there_is(path: str, said: str) -> None:
    """What is missing, where it was looked for, and what is there instead."""
    with pytest.raises(ConfigError, match="(?s)" + said):
        load(path)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import not_installed_anywhere", r"ModuleNotFoundError: No module named 'not_.*broken.py:1\)"),
        ("x = 1\nprint(1 / 0)", r"ZeroDivisionError: division by zero \(.*broken.py:2\)"),
        ("def f(:", r"SyntaxError: .*broken.py:1\)"),
        ("import sys\nsys.exit(3)", r"SystemExit: 3 \(.*broken.py:2\)"),
    ],
)
def test_a_module_that_fails_says_where(folder: Path, code: str, said: str) -> None:
    """The exception's type, its text and the line of the user's file."""
    (folder / "broken.py").write_text(code)

    with pytest.raises(ConfigError, match="importing broken failed: " + said):
        load("broken:Net")


def test_a_failing_build_is_blamed_on_the_user_s_line() -> None:
    """An error inside Keras, too, names the user's line that led there."""
    from fmnist_sweep.models.hyperparameters import filled
    from fmnist_sweep.models.load import build_model, describe

    with pytest.raises(ValueError, match="no_such") as caught:
        build_model(load("user_models:Scopes"), filled({"head/activation": "no_such"}))

    said = describe(caught.value)
    assert said.startswith("ValueError: ")
    assert "user_models.py:" in said
    assert "\n" not in said


def test_a_build_that_returns_nothing_says_so() -> None:
    """The usual slip has its own message."""
    from fmnist_sweep.models.hyperparameters import filled
    from fmnist_sweep.models.load import build_model

    with pytest.raises(ConfigError, match="it returned NoneType; end it with 'return model'"):
        build_model(load("user_models:ReturnsNothing"), filled({}))


def test_a_model_of_the_legacy_keras_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the remedy: many set the switch for another library, and forget it."""
    from fmnist_sweep.models.hyperparameters import filled
    from fmnist_sweep.models.load import build_model

    legacy = type("Sequential", (), {"__module__": "tf_keras.src.engine.sequential"})
    model = load("user_models:ReturnsNothing")
    monkeypatch.setattr(model, "build", lambda _hp: type("Mine", (legacy,), {})(), raising=False)
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    with pytest.raises(
        ConfigError, match=r"it returned a Mine of tf_keras, the legacy Keras, .*: unset TF_USE"
    ):
        build_model(model, filled({}))
    monkeypatch.delenv("TF_USE_LEGACY_KERAS")
    with pytest.raises(
        ConfigError, match="needed: import keras, and neither tf_keras nor what is built on it"
    ):
        build_model(model, filled({}))
    monkeypatch.setattr(model, "build", lambda _hp: {})
    with pytest.raises(
        ConfigError, match=r"it returned builtins\.dict, which is no keras\.Model; return the"
    ):
        build_model(model, filled({}))
