"""Flipped and shifted images, and smoothed labels."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

# What is tested here is made of Keras.
pytestmark = pytest.mark.slow

LAYERS = ["HorizontalFlip", "PixelShift"]
each_layer = pytest.mark.parametrize("name", LAYERS)


def layer(name: str, seed: int = 0, *, max_pixels: int = 3) -> Any:
    from fmnist_sweep.models import augmentation

    kind = getattr(augmentation, name)
    return kind(seed=seed) if name == "HorizontalFlip" else kind(max_pixels, seed=seed)


@pytest.fixture(scope="module")
def images() -> npt.NDArray[np.float32]:
    """Images of two channels that are not square; no pixel is 0 and no two are equal."""
    rng = np.random.default_rng(0)
    return rng.uniform(0.1, 1.0, size=(200, 7, 9, 2)).astype(np.float32)


def moved(image: npt.NDArray[np.float32], down: int, right: int) -> npt.NDArray[np.float32]:
    """Return an image with its content moved by whole pixels, 0 where nothing comes in."""
    height, width, _ = image.shape
    new = np.zeros_like(image)
    new[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = image[
        max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)
    ]
    return new


@each_layer
def test_only_training_images_are_changed(name: str, images: npt.NDArray[np.float32]) -> None:
    """Shape and type stay; at inference, asked for or by default, every pixel does."""
    changing = layer(name)
    changed = np.asarray(changing(images, training=True))

    assert (changed.shape, changed.dtype) == (images.shape, images.dtype)
    assert not np.array_equal(changed, images)
    np.testing.assert_array_equal(np.asarray(changing(images, training=False)), images)
    np.testing.assert_array_equal(np.asarray(changing(images)), images)


def test_a_flip_is_a_flip(images: npt.NDArray[np.float32]) -> None:
    """Each image is itself or its mirror image, about half of them each."""
    flipped = np.asarray(layer("HorizontalFlip")(images, training=True))
    mirrored = [np.array_equal(new, old[:, ::-1]) for new, old in zip(flipped, images, strict=True)]
    same = [np.array_equal(new, old) for new, old in zip(flipped, images, strict=True)]

    assert [a != b for a, b in zip(mirrored, same, strict=True)] == [True] * 200
    assert 70 < sum(mirrored) < 130


@pytest.mark.parametrize("max_pixels", [1, 3])
def test_a_shift_is_of_whole_pixels_and_within_its_bounds(
    images: npt.NDArray[np.float32], max_pixels: int
) -> None:
    """Each image is moved by one of all ways, all of which occur, and what comes in is 0."""
    shifted = np.asarray(layer("PixelShift", max_pixels=max_pixels)(images, training=True))
    ways = range(-max_pixels, max_pixels + 1)
    found = [
        [(down, right) for down in ways for right in ways if np.array_equal(new, moved(old, down, right))]
        for new, old in zip(shifted, images, strict=True)
    ]

    assert {len(matches) for matches in found} == {1}
    for axis in (0, 1):
        assert {matches[0][axis] for matches in found} == set(ways)


def test_a_shift_of_nothing_changes_nothing(images: npt.NDArray[np.float32]) -> None:
    """The smallest bound is a way to say that there is none."""
    np.testing.assert_array_equal(
        np.asarray(layer("PixelShift", max_pixels=0)(images, training=True)), images
    )


@each_layer
def test_the_seed_decides(name: str, images: npt.NDArray[np.float32]) -> None:
    """Equal seeds give the same images call by call; another seed and another call give others."""
    first, again, other = layer(name, 1), layer(name, 1), layer(name, 2)
    one, two = (np.asarray(first(images, training=True)) for _ in range(2))

    np.testing.assert_array_equal(np.asarray(again(images, training=True)), one)
    np.testing.assert_array_equal(np.asarray(again(images, training=True)), two)
    assert not np.array_equal(one, two)
    assert not np.array_equal(np.asarray(other(images, training=True)), one)


def test_alternating_flips_show_each_image_both_ways(images: npt.NDArray[np.float32]) -> None:
    """Half are mirrored in the first epoch, the others in the next, wherever in the data they stand."""
    from fmnist_sweep.models.augmentation import AlternatingFlip

    def mirrored(flip: Any, x: npt.NDArray[np.float32], epoch: int) -> npt.NDArray[np.bool_]:
        flip.begin_epoch(epoch)
        new = np.asarray(flip(x, training=True))
        told = [(np.array_equal(a, b[:, ::-1]), np.array_equal(a, b)) for a, b in zip(new, x, strict=True)]
        assert all(a != b for a, b in told)
        return np.array(told)[:, 0]

    flip = AlternatingFlip(seed=1)
    first, second, third = (mirrored(flip, images, epoch) for epoch in range(3))
    assert 70 < first.sum() < 130
    np.testing.assert_array_equal(second, ~first)
    np.testing.assert_array_equal(third, first)
    np.testing.assert_array_equal(mirrored(flip, images[::-1], 4), first[::-1])
    assert 60 < (mirrored(AlternatingFlip(seed=2), images, 0) == first).sum() < 140
    np.testing.assert_array_equal(np.asarray(flip(images)), images)
    # Also of images whose numbers are large, or hardly differ from 0.
    assert 70 < mirrored(AlternatingFlip(seed=1), 1e-6 * images, 0).sum() < 130


@each_layer
def test_the_state_is_a_variable_of_the_model(name: str, images: npt.NDArray[np.float32]) -> None:
    """A checkpoint of all variables brings the random numbers back to where they were."""
    import keras

    model = keras.Sequential([keras.Input(images.shape[1:]), layer(name)])
    np.asarray(model(images, training=True))
    state = [variable.numpy() for variable in model.variables]
    before = np.asarray(model(images, training=True))
    for variable, value in zip(model.variables, state, strict=True):
        variable.assign(value)

    assert len(state) == 1
    assert model.count_params() == 0
    np.testing.assert_array_equal(np.asarray(model(images, training=True)), before)


# Keras's way to NumPy is older than NumPy 2.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_saved_model_knows_its_layers_and_its_loss(tmp_path: Any, images: npt.NDArray[np.float32]) -> None:
    """A ``.keras`` file of a model with all of them loads again and gives the same outputs."""
    import keras

    from fmnist_sweep.models.smoothing import SmoothedCrossentropy

    model = keras.Sequential(
        [keras.Input(images.shape[1:]), *map(layer, LAYERS), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    model.compile("adam", SmoothedCrossentropy(0.2))
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")

    assert again.layers[1].max_pixels == 3
    assert again.loss.label_smoothing == 0.2
    np.testing.assert_array_equal(again.predict(images, verbose=0), model.predict(images, verbose=0))


def test_smoothed_cross_entropy_is_that_of_a_hand_computation() -> None:
    """Three classes, smoothing 0.3: the true one has 0.8, each other 0.1; labels of any shape and type."""
    from fmnist_sweep.models.smoothing import SmoothedCrossentropy

    outputs = np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]], np.float32)
    by_hand = [
        -(0.8 * math.log(0.7) + 0.1 * math.log(0.2) + 0.1 * math.log(0.1)),
        -(0.1 * math.log(0.25) + 0.1 * math.log(0.25) + 0.8 * math.log(0.5)),
    ]
    for labels in (np.array([0, 2]), np.array([[0], [2]], np.int32), np.array([0, 2], np.uint8)):
        loss = SmoothedCrossentropy(0.3)
        np.testing.assert_allclose(np.asarray(loss.call(labels, outputs)), by_hand, rtol=1e-5)
        assert float(loss(labels, outputs)) == pytest.approx(sum(by_hand) / 2, rel=1e-5)


def test_without_smoothing_the_loss_is_keras_s() -> None:
    """Smoothing of 0 is plain cross-entropy of integer labels."""
    import keras

    from fmnist_sweep.models.smoothing import SmoothedCrossentropy

    outputs = np.random.default_rng(0).dirichlet(np.ones(10), size=20).astype(np.float32)
    labels = np.arange(20) % 10
    plain = keras.losses.sparse_categorical_crossentropy(labels, outputs)

    np.testing.assert_allclose(np.asarray(SmoothedCrossentropy(0.0).call(labels, outputs)), plain, rtol=1e-5)


@pytest.mark.parametrize("name", [*LAYERS, "AlternatingFlip", "SmoothedCrossentropy"])
def test_the_source_of_a_class_stands_alone(name: str) -> None:
    """Copied into a script that imports keras and numpy alone, the class can be used."""
    from fmnist_sweep.models import augmentation, smoothing

    kind = getattr(smoothing if name == "SmoothedCrossentropy" else augmentation, name)
    registered = "@keras.saving.register_keras_serializable"
    source = inspect.getsource(kind).replace(registered, "@(lambda **_: lambda kind: kind)")
    made: dict[str, Any] = {}
    exec(f"import keras\nimport numpy as np\n{source}", made)  # noqa: S102 - it is our own

    assert made[name](
        **({} if name.endswith("Flip") else {"max_pixels": 2} if name in LAYERS else {"label_smoothing": 0.1})
    )
