"""What the catalog promises of the two built-in models, without building one."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.jobs import Scalar
from fmnist_sweep.core.space import IntParameter
from fmnist_sweep.models import catalog, spaces

FASHION_MNIST = (28, 28, 1)
models = pytest.mark.parametrize("model", ["dense", "cnn"])
law = settings(deadline=None)


@models
def test_the_default_configuration_lies_in_the_space(model: str) -> None:
    """What a sweep tries first could also have been sampled, and every parameter has a default."""
    info = catalog.MODELS[model]

    assert info.space.contains(info.space.complete({}, info.defaults))
    assert set(info.defaults) == set(info.space)
    assert all(info.space[name].contains(default) for name, default in info.defaults.items())


@pytest.mark.parametrize(("model", "n_parameters"), [("dense", 297_710), ("cnn", 61_706)])
def test_the_defaults_are_the_report_s_final_models(model: str, n_parameters: int) -> None:
    """The report's models have these numbers of weights."""
    count = catalog.MODELS[model].n_parameters

    assert count is not None
    assert count({}, FASHION_MNIST, 10) == n_parameters


@pytest.mark.parametrize(
    ("values", "n_parameters"),
    [
        ({"depth": 1, "units_1": 16}, 784 * 16 + 16 + 16 * 10 + 10),
        ({"depth": 1, "units_1": 16, "batch_norm": True}, 784 * 16 + 16 + 4 * 16 + 16 * 10 + 10),
        ({"depth": 3, "units_1": 2, "units_2": 3, "units_3": 4}, 785 * 2 + 3 * 3 + 4 * 4 + 5 * 10),
    ],
)
def test_dense_weights_are_counted_as_by_hand(values: dict[str, int], n_parameters: int) -> None:
    """Kernels, biases, and four numbers for each normalised channel."""
    assert spaces.dense_n_parameters(values, FASHION_MNIST, 10) == n_parameters


def test_conv_weights_are_counted_as_by_hand() -> None:
    """One padded 3x3 block pooled by 3: 28 pixels become 10, a last pool half empty."""
    values: dict[str, Scalar] = {
        "conv_blocks": 1,
        "filters_1": 4,
        "kernel_size_1": 3,
        "pool_size": 3,
        "dense_units": 16,
    }

    n_parameters = (9 + 1) * 4 + (10 * 10 * 4 + 1) * 16 + 17 * 10
    assert spaces.conv_n_parameters(values, FASHION_MNIST, 10) == n_parameters


@law
@given(st.integers(0, 2**32 - 1))
def test_every_sampled_cnn_fits_the_image(seed: int) -> None:
    """No point of the space is impossible."""
    point = spaces.CONV_SPACE.sample(np.random.default_rng(seed))

    assert spaces.conv_problems(point, FASHION_MNIST) == []


def test_every_shape_of_the_cnn_fits_the_image() -> None:
    """Every combination of what decides a map's size, one by one: none leaves an empty map."""
    sized = ("conv_blocks", "pool_size", *(f"{n}_{i}" for n in ("kernel_size", "padding") for i in (1, 2, 3)))
    space = spaces.CONV_SPACE.without(*(name for name in spaces.CONV_SPACE if name not in sized))
    combinations = itertools.product(*(space[name].values() or () for name in sized))
    points = [dict(zip(sized, combination, strict=True)) for combination in combinations]
    points = [space.fill(lambda name, _, point=point: point[name]) for point in points]  # type: ignore[misc]
    distinct = {tuple(sorted(point.items(), key=str)) for point in points}

    assert len(distinct) == space.size
    assert [point for point in distinct if spaces.conv_problems(dict(point), FASHION_MNIST)] == []


@models
def test_every_corner_has_a_count(model: str) -> None:
    """Weights can be counted wherever ranges end, and more units are more weights."""
    info = catalog.MODELS[model]
    assert info.n_parameters is not None
    smallest = info.space.fill(lambda _, parameter: parameter.ends()[0])
    largest = info.space.fill(lambda _, parameter: parameter.ends()[-1])
    low, high = (info.n_parameters(point, FASHION_MNIST, 10) for point in (smallest, largest))

    assert 0 < low < high
    for corner in info.space.corners(limit=2000):
        assert info.n_parameters(corner, FASHION_MNIST, 10) > 0


def test_a_cnn_that_does_not_fit_says_which_block() -> None:
    """A fixed value may make a point impossible; the message names it and the way out."""
    values: dict[str, Scalar] = {"kernel_size_2": 20, "padding_2": "valid", "kernel_size_3": 2}

    assert spaces.conv_problems(values, FASHION_MNIST) == [
        'kernel_size_2=20 with padding valid does not fit a 14x14 map; lower it, or set padding_2 to "same"'
    ]


def test_the_smaller_side_of_an_image_decides() -> None:
    """An image need not be square."""
    assert spaces.conv_problems({}, (28, 10, 1)) != []


def test_widths_follow_the_depth() -> None:
    """A net of two layers has two widths."""
    point = spaces.DENSE_SPACE.fill(lambda name, parameter: 2 if name == "depth" else parameter.ends()[0])

    assert [name for name in point if name.startswith("units")] == ["units_1", "units_2"]


@models
def test_the_space_searches_what_the_report_asked_for(model: str) -> None:
    """The shared parameters are there, with the ranges that others rely on."""
    space = catalog.MODELS[model].space
    shared = {
        "learning_rate",
        "l2",
        "activation",
        "optimizer",
        "batch_size",
        "batch_norm",
        "dropout",
        "epochs",
    }

    assert shared < set(space)
    assert space["activation"].values() == spaces.ACTIVATIONS
    assert isinstance(space["epochs"], IntParameter)


@pytest.mark.parametrize("name", ["dense", "cnn", "models:Net", "package.models:Nets.Small"])
def test_a_good_name_has_no_problems(name: str) -> None:
    """A built-in name or an import path passes, without importing anything."""
    assert catalog.model_name_problems(name) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dens", "unknown model 'dens'; did you mean 'dense'? (allowed: dense, cnn, or package.module"),
        ("resnet", "unknown model 'resnet' (allowed: dense, cnn, or package.module:HyperModelClass)"),
        ("models.Net", "package.module:HyperModelClass"),
        ("models.py:Net-1", "package.module:HyperModelClass"),
        (":Net", "package.module:HyperModelClass"),
        ("models:", "package.module:HyperModelClass"),
        ("", "unknown model ''"),
    ],
)
def test_a_wrong_name_says_what_is_allowed(name: str, said: str) -> None:
    """A misspelt name gets a suggestion, anything else the form of an import path."""
    problems = catalog.model_name_problems(name)

    assert len(problems) == 1
    assert said in problems[0]
    with pytest.raises(ConfigError, match="model: 1 problem"):
        catalog.model_space(name)


def test_a_module_that_is_missing_is_told_without_a_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It would load TensorFlow first, for some fifteen seconds."""
    monkeypatch.setattr(catalog, "run_program", lambda *_, **__: pytest.fail("a process was started"))
    (tmp_path / "nets.py").touch()
    with pytest.raises(ConfigError, match=r"no module 'net' in .* or among .* packages; did you mean 'nets'"):
        catalog.model_space("net:Net", folders=(tmp_path,))


@models
def test_a_built_in_model_is_known_by_both_its_names(model: str) -> None:
    """Name and import path give the same space, without a child process."""
    assert catalog.model_space(catalog.MODELS[model].path) is catalog.model_space(model)


def test_neither_the_catalog_nor_the_models_package_loads_keras() -> None:
    """The parent process stays small: declarations alone are read, until a model is asked for."""
    code = (
        "import sys, fmnist_sweep.models.catalog, fmnist_sweep.models\n"
        "print({'keras', 'keras_tuner', 'tensorflow', 'optuna'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "set()\n", "")
