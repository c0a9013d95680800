"""Models with parts of a user's own, saved and loaded: what comes back, and what is said of the rest."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# Keras asks NumPy in an old way as it saves.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SAVED = [
    "plain", "class", "lazy", "name_of_keras", "sublayers", "function", "named_lambda", "initializer",
    "regularizer", "nested", "registered", "function_named_as_kerass", "subclass", "subclass_with_own_loss",
    "closure_as_loss", "functional", "sequential_with_its_own_call", "lambda",
]  # fmt: skip
REFUSED = [
    "forgets", "other_shapes", "no_keywords", "closure_in_layer", "object_in_layer", "penalty", "partial",
    "lambda_with_globals", "lambda_as_activation", "local_class", "registered_local_class", "local_function",
]  # fmt: skip


@pytest.fixture(scope="module")
def nets() -> Iterator[Any]:
    """The module of the models, imported as a user's is."""
    from fmnist_sweep.core.user_code import import_users

    before = list(sys.meta_path)
    yield import_users("own_nets", [Path(__file__).parent])
    sys.meta_path[:] = before


def checked(model: Any) -> Any:
    """Save and load a model as it would be exported, and return what that needs."""
    from fmnist_sweep.models.inference import inference_model
    from fmnist_sweep.models.saving import require_savable

    images = np.random.default_rng(0).random((4, 8, 8, 1), np.float32)
    model(images)
    return require_savable(inference_model(model, (8, 8, 1), from_logits=False), images, "own_nets")


@pytest.mark.parametrize("name", SAVED)
def test_what_keras_can_save_comes_back(nets: Any, name: str) -> None:
    """With what the model's module defines, by names that other tools would give it too."""
    model, needs = nets.SAVED[name]()
    own = checked(model)
    assert own.places == {key: f"own_nets:{place}" for key, place in needs.items()}
    assert own.has_lambdas == (name == "lambda")
    # It trains on as it was compiled.
    assert model.compiled


def test_classes_of_one_name_are_told_apart(nets: Any) -> None:
    """Keras itself goes by the bare name."""
    assert checked(nets.twins()).places == nets.TWINS


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_saved_is_named(nets: Any, name: str) -> None:
    """The class or function, and what would mend it."""
    from fmnist_sweep.models.saving import SavingError

    make, said = nets.REFUSED[name]
    with pytest.raises(SavingError) as told:
        checked(make())
    assert said in str(told.value)
    assert len(str(told.value)) < 600


def test_every_model_of_the_module_is_tried(nets: Any) -> None:
    """The lists above are whole."""
    assert set(SAVED) == set(nets.SAVED)
    assert set(REFUSED) == set(nets.REFUSED)
