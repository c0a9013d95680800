"""A built model written down as Python, and what is left of it for inference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def built(model: str, **values: Any) -> Any:
    from fmnist_sweep.models import ConvModel, DenseModel
    from fmnist_sweep.models.hyperparameters import filled

    return {"dense": DenseModel, "cnn": ConvModel}[model]().build(filled(values))


def rebuilt(source: Any, input_shape: tuple[int, ...] = (28, 28, 1)) -> Any:
    """Run the lines of a model's source."""
    import keras

    names: dict[str, Any] = {"keras": keras}
    for definition in source.definitions:
        exec("from __future__ import annotations\n" + definition, names)  # noqa: S102 - our own text
    layers: dict[int, Any] = {}
    for first, last in source.made:
        layers |= {i: eval(source.layers[i], names) for i in range(first, last)}  # noqa: S307
    model = keras.Sequential([keras.Input(input_shape), *(layers[i] for i in sorted(layers))])
    optimizer, loss = (eval(line, names) for line in (source.optimizer, source.loss))  # noqa: S307
    model.compile(optimizer=optimizer, loss=loss)
    return model


def configs(model: Any) -> list[dict[str, Any]]:
    """Return the layers' configurations without the names that Keras makes up."""
    return [{k: v for k, v in layer.get_config().items() if k != "name"} for layer in model.layers]


@pytest.mark.parametrize(
    ("model", "values"),
    [
        ("dense", {}),
        ("dense", {"depth": 3, "units_3": 50, "dropout": 0.25, "batch_norm": True, "l2": 3e-5}),
        ("dense", {"optimizer": "sgd", "learning_rate": 0.0123, "activation": "elu"}),
        ("cnn", {}),
        ("cnn", {"pooling": "max", "batch_norm": True, "dropout": 0.1}),
    ],
)
def test_the_source_builds_the_same_layers(model: str, values: dict[str, Any]) -> None:
    """Layers, optimizer and loss are those of the HyperModel, to the last setting."""
    import keras

    from fmnist_sweep.models.source import model_source

    keras.utils.set_random_seed(7)
    original = built(model, **values)
    source = model_source(original, seed=7)
    keras.utils.set_random_seed(7)
    copy = rebuilt(source)
    # Weights and the states of dropout's generators too: layers are made in the order in which they stand.
    for ours, theirs in zip(copy.variables, original.variables, strict=True):
        assert np.array_equal(ours.numpy(), theirs.numpy()), theirs.path
    assert configs(copy) == configs(original)
    ours, theirs = (made.optimizer.get_config() for made in (copy, original))
    assert {**ours, "name": ""} == {**theirs, "name": ""}
    assert copy.loss == original.loss


def test_what_is_not_kerass_brings_its_source() -> None:
    """A layer and a loss of a project's own are defined in the lines, bases first."""
    import keras
    import source_parts

    from fmnist_sweep.models.source import model_source

    model = keras.Sequential([keras.Input((4,)), source_parts.Noisy(0.5), keras.layers.Dense(2)])
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 100)
    model.compile(keras.optimizers.AdamW(schedule, weight_decay=0.01), source_parts.smoothed)
    source = model_source(model, seed=0)
    assert source.layers[0] == "Noisy(0.5)"
    assert source.loss == "smoothed"
    assert "CosineDecay(0.01, 100)" in source.optimizer
    assert [line.partition("(")[0] for line in source.definitions] == [
        "class Base",
        "class Noisy",
        "def smoothed",
    ]
    assert configs(rebuilt(source, (4,))) == configs(model)


def test_layers_are_made_in_the_order_in_which_they_were() -> None:
    """One that stands first but was made last draws its seed last, also after it has been used."""
    import keras

    from fmnist_sweep.models.source import model_source

    keras.utils.set_random_seed(7)
    dense = keras.layers.Dense(3, activation="softmax")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Flatten(), dense])
    model.compile("sgd", "sparse_categorical_crossentropy")
    expected = [variable.numpy().copy() for variable in model.variables]
    model(np.ones((2, 4), np.float32), training=True)
    source = model_source(model, seed=7)
    assert source.made == ((1, 3), (0, 1))
    keras.utils.set_random_seed(7)
    for ours, theirs in zip(rebuilt(source, (4,)).variables, expected, strict=True):
        assert np.array_equal(ours.numpy(), theirs)


def test_a_model_that_has_no_such_form_says_so() -> None:
    """A functional model, or a layer that holds others, is not written down wrongly."""
    import keras

    from fmnist_sweep.models.source import NotWritableError, model_source

    entry = keras.Input((4,))
    functional = keras.Model(entry, keras.layers.Dense(2)(entry))
    with pytest.raises(NotWritableError, match="is no Sequential model"):
        model_source(functional, seed=0)


def test_inference_leaves_out_what_only_changes_training_images() -> None:
    """Augmentation is gone, dropout and normalisation stay, logits become probabilities."""
    import keras

    from fmnist_sweep.models.inference import inference_model

    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.RandomFlip("horizontal"),
            keras.layers.Conv2D(2, 3),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )
    images = np.random.default_rng(0).random((5, 6, 6, 1), np.float32)
    final = inference_model(model, (6, 6, 1), from_logits=True)
    assert [type(layer).__name__ for layer in final.layers] == [
        "Conv2D",
        "BatchNormalization",
        "Dropout",
        "Flatten",
        "Dense",
        "Softmax",
    ]
    assert not final.compiled
    expected = keras.ops.softmax(model(images, training=False))
    assert np.allclose(final(images, training=False), expected, atol=1e-6)


def test_a_functional_model_of_a_user_is_copied_without_its_loss() -> None:
    """What compiled it need not be known where it is loaded."""
    import keras
    import source_parts

    from fmnist_sweep.models.inference import inference_model

    entry = keras.Input((4,))
    model = keras.Model(entry, keras.layers.Dense(2, activation="softmax")(entry))
    model.compile("adam", source_parts.smoothed)
    final = inference_model(model, (4,), from_logits=False)
    x = np.ones((3, 4), np.float32)
    assert not final.compiled
    assert np.allclose(final(x), model(x))
