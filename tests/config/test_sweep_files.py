from __future__ import annotations

import doctest
import importlib
import math
from pathlib import Path

import pytest

import fmnist_sweep
from fmnist_sweep.config.loading import load_config, parse_config

PACKAGE = Path(fmnist_sweep.__file__).parent
REPOSITORY = PACKAGE.parent
SWEEPS = sorted((REPOSITORY / "sweeps").glob("*.toml"))
KERAS = ("import keras", "import tensorflow", "from keras", "from tensorflow")


def _has_examples(path: Path) -> bool:
    source = path.read_text(encoding="utf-8")
    return ">>> " in source and not any(line.startswith(KERAS) for line in source.splitlines())


EXAMPLES = [
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(PACKAGE.rglob("*.py"))
    if _has_examples(path)
]


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are named as a reader of the examples would name them."""
    monkeypatch.chdir(REPOSITORY)


def test_there_are_sweeps_and_examples() -> None:
    """The tests below have something to look at."""
    assert {"dense.toml", "cnn.toml", "smoke.toml"} <= {path.name for path in SWEEPS}
    assert {"fmnist_sweep.core.score", "fmnist_sweep.config.loading", "fmnist_sweep.models.spaces"} <= set(
        EXAMPLES
    )


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.name)
def test_every_sweep_file_validates(path: Path) -> None:
    """Each shipped sweep is read without a problem, searches something, and can be stored and read back."""
    config = load_config(path)
    assert config.file.study == path.stem
    again = parse_config(config.to_dict(), where=path.name)
    assert again.digest == config.digest
    counts = config.n_parameters_range()
    assert counts is not None
    assert config.sampled_space.searched
    assert 0 < counts[0] < counts[1] < math.inf


@pytest.mark.parametrize("name", ["dense", "cnn"])
def test_the_main_sweeps_begin_with_the_hand_tuned_model(name: str) -> None:
    """The baseline that the sweep is to beat lies in its space, and may be trained for as long as it was."""
    config = load_config(Path("sweeps", f"{name}.toml"))
    assert config.default_point is not None
    assert config.model_space.defaults["epochs"] in config.epochs
    assert config.file.budget.trials == 30


@pytest.mark.parametrize(
    "path", [path for path in SWEEPS if "schedule" in path.read_text()], ids=lambda p: p.name
)
def test_sweeps_with_a_schedule_train_to_its_end(path: Path) -> None:
    """The best rates of a falling schedule are its last: nothing may stop a trial much earlier."""
    config = load_config(path)
    assert config.space["schedule_epochs"].values() == (config.epochs[-1],)
    assert config.file.training.patience is None
    assert getattr(config.file.pruner, "n_warmup_steps", 0) >= config.epochs[-1] // 2 - 1


@pytest.mark.parametrize("module", EXAMPLES)
def test_examples_in_docstrings_run(module: str) -> None:
    """What a docstring shows is what happens."""
    failed, tried = doctest.testmod(importlib.import_module(module))
    assert tried
    assert not failed
