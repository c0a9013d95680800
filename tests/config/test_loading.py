from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fmnist_sweep.config import limits
from fmnist_sweep.config.loading import load_config, parse_config
from fmnist_sweep.config.sweep_config import _WITHOUT_WEIGHTS, SweepConfig, differences
from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.jobs import DataRef, SplitSpec
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.core.space import ChoiceParameter, FixedParameter, FloatParameter, IntParameter, SearchSpace
from fmnist_sweep.models import catalog, spaces
from fmnist_sweep.models.catalog import ModelSpace
from fmnist_sweep.models.spaces import DENSE_DEFAULTS, DENSE_SPACE

MakeConfig = Callable[..., SweepConfig]
MakeSettings = Callable[..., dict[str, Any]]

SECTIONS = (
    "budget, data, engine, keep_models, max_model_size, model, observers, pruner, sampler, scale, score, "
    "space, split, study, target, training, tune_new_entries"
)
DENSE_NAMES = (
    "activation, alternate_flips, batch_norm, batch_size, depth, dropout, ema, epochs, erase, flip, l2, "
    "label_smoothing, learning_rate, optimizer, schedule, schedule_epochs, shift, "
    "units_1, units_2, units_3, units_4, units_5, weight_decay"
)

ACTIVATIONS = ", ".join(sorted((*spaces.ACTIVATIONS, *limits.MORE_ACTIVATIONS)))
OPTIMIZERS = ", ".join(sorted((*spaces.OPTIMIZERS, *limits.MORE_OPTIMIZERS)))

BAD_SETTINGS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "unknown key": (
        {"prunner": {}},
        [f"prunner: unknown key; did you mean 'pruner'? (allowed: {SECTIONS})"],
    ),
    "unknown key in a section": (
        {"budget": {"trails": 3}},
        [
            (
                "budget.trails: unknown key; did you mean 'trials'? "
                "(allowed: epochs, max_retries, prepare_seconds, reconnect_seconds, seconds, trial_seconds, "
                "trials)"
            )
        ],
    ),
    "key of another sampler": (
        {"sampler": {"name": "random", "n_startup_trials": 3}},
        ["sampler.n_startup_trials: unknown key (allowed: enqueue_default, name, seed)"],
    ),
    "wrong types": (
        {"study": 3, "score": {"penalty": "high"}, "tune_new_entries": "yes", "budget": {"trials": 2.5}},
        [
            "study: must be a text in quotes, got 3",
            "tune_new_entries: must be true or false, got 'yes'",
            "score.penalty: must be a number, got 'high'",
            "budget.trials: must be a whole number, got 2.5",
        ],
    ),
    "true is no number": (
        {"budget": {"trials": True}},
        ["budget.trials: must be a whole number, got True"],
    ),
    "not a section": ({"score": 3}, ["score: must be a table of settings, got 3"]),
    "sampler without a table": (
        {"sampler": "tpe"},
        ["sampler: must be a table such as { name = \"tpe\" }, got 'tpe'"],
    ),
    "list in place of a parameter": (
        {"space": {"epochs": 3, "activation": ["relu"]}},
        [
            (
                'space.activation: must be a table such as { type = "float", low = 0, high = 1 }, '
                "or one fixed value, got ['relu']"
            )
        ],
    ),
    "low above high": (
        {"space": {"epochs": 3, "learning_rate": {"low": 0.01, "high": 0.001}}},
        ["space.learning_rate: low=0.01 is above high=0.001; swap them"],
    ),
    "log with 0": (
        {"space": {"epochs": 3, "learning_rate": {"low": 0.0, "high": 0.001}}},
        ["space.learning_rate: log needs low > 0, got low=0; raise low or drop log"],
    ),
    "step of 0": (
        {"space": {"epochs": 3, "depth": {"step": 0}}},
        ["space.depth: step must be above 0, got 0"],
    ),
    "empty choices": (
        {"space": {"epochs": 3, "activation": {"choices": []}}},
        ["space.activation.choices: must be a list of at least 1, got []"],
    ),
    "unknown parameter type": (
        {"space": {"epochs": 3, "depth": {"type": "integer", "low": 1, "high": 2}}},
        ["space.depth.type: unknown 'integer'; did you mean 'int'? (allowed: float, int, choice, fixed)"],
    ),
    "misspelt parameter": (
        {"space": {"epochs": 3, "depht": 2}},
        [f"space.depht: the model has no such hyperparameter; did you mean 'depth'? (it has {DENSE_NAMES})"],
    ),
    "unknown sampler": (
        {"sampler": {"name": "tpee"}},
        [
            (
                "sampler.name: unknown 'tpee'; did you mean 'tpe'? "
                "(allowed: tpe, random, gp, cmaes, qmc, grid, points)"
            )
        ],
    ),
    "unknown pruner": (
        {"pruner": {"name": "medain"}},
        [
            (
                "pruner.name: unknown 'medain'; did you mean 'median'? "
                "(allowed: none, median, percentile, successive_halving, hyperband, patient, promotion, "
                "freeze_thaw)"
            )
        ],
    ),
    "unknown model": (
        {"model": "dens"},
        [
            (
                "model: unknown model 'dens'; did you mean 'dense'? "
                "(allowed: dense, cnn, or package.module:HyperModelClass)"
            )
        ],
    ),
    "unknown metric": (
        {"score": {"metric": "acuracy"}},
        [
            (
                "score.metric: whether more or less of 'acuracy' is better is not known; did you mean "
                '\'accuracy\'? If the model has one of that name, set score.direction to "max" or "min"'
            )
        ],
    ),
    "unknown data": (
        {"data": "fashion_mnist"},
        [
            (
                "data: 'fashion_mnist' is no data source; allowed are 'fashion-mnist', the path of an .npz, "
                ".csv or .parquet file, or an import path package.module:function; did you mean "
                "'fashion-mnist'?"
            )
        ],
    ),
    "a table without a target": (
        {"data": "houses.csv"},
        [
            'target: missing; say which column of the table is predicted, such as target = "price"',
            f"data: there is no file {Path.cwd() / 'houses.csv'}",
        ],
    ),
    "a target of what is no table": (
        {"target": "price"},
        [
            "target: is for tables (.csv and .parquet); 'fashion-mnist' brings its targets along",
        ],
    ),
    "condition on an unknown parent": (
        {"space": {"epochs": 3, "batch_norm": {"when": {"deth": [2]}}}},
        [
            (
                "space.batch_norm.when: unknown parameter 'deth'; known are learning_rate, l2, activation, "
                "optimizer, batch_size, dropout, epochs, depth, units_1, units_2"
            )
        ],
    ),
    "condition on a value that the parent never has": (
        {"space": {"epochs": 3, "dropout": {"when": {"depth": [9]}}}},
        ["space.dropout.when: depth can never be 9"],
    ),
    "conditions in a circle": (
        {
            "space": {
                "epochs": 3,
                "batch_norm": {"when": {"optimizer": ["adam"]}},
                "optimizer": {"when": {"batch_norm": [True]}},
            }
        },
        ["space.optimizer, batch_norm: their conditions run in a circle; drop one of them"],
    ),
    "zero trials": ({"budget": {"trials": 0}}, ["budget.trials: must be at least 1, got 0"]),
    "limits of the score": (
        {"score": {"penalty": -1, "tolerance": float("inf"), "min_val_accuracy": 1.5}},
        [
            "score.penalty: must be at least 0, got -1",
            "score.tolerance: must be a finite number, got inf",
            "score.min_val_accuracy: must be at most 1, got 1.5",
        ],
    ),
    "a date as a seed": (
        {
            "training": {"seed": 20261126131500, "split_seed": 20261126131500},
            "sampler": {"seed": 20261126131500},
        },
        ["training.seed: must be at most 4294957195, got 20261126131500"],
    ),
    "a seed that its generator does not take": (
        {"sampler": {"name": "qmc", "seed": 2**32}},
        ["sampler.seed: must be at most 4294967295, got 4294967296"],
    ),
    "seeds of more than 64 bits": (
        {"training": {"split_seed": 2**63}, "sampler": {"seed": 2**63}},
        [
            "training.split_seed: must be at most 9223372036854775807, got 9223372036854775808",
            "sampler.seed: must be at most 9223372036854775807, got 9223372036854775808",
        ],
    ),
    "numbers without end": (
        {
            "budget": {"trials": 2**31, "seconds": 1e300, "max_retries": 10**30},
            "training": {"batch_size": 10**15, "n_probe": 10**200},
            "max_model_size": 2**40,
            "score": {"penalty": float("nan")},
        },
        [
            "max_model_size: must be at most 2147483647, got 1099511627776",
            "score.penalty: must be a finite number, got nan",
            "training.batch_size: must be at most 2147483647, got 1000000000000000",
            "training.n_probe: must be at most 2147483647, got a number of 201 digits",
            "budget.trials: must be at most 2147483647, got 2147483648",
            "budget.seconds: must be at most 1e+09, got 1e+300",
            f"budget.max_retries: must be at most 2147483647, got {10**30}",
        ],
    ),
    "more images than there are": (
        {"training": {"n_val": 10**9}},
        [
            (
                "training.n_val is 1000000000; allowed: 10 to 59990 (60000 images in 10 classes, each of "
                "which must be both in train and in validation)"
            )
        ],
    ),
    "billions of epochs": (
        {"space": {"epochs": {"type": "int", "low": 1, "high": 4_000_000_000}}},
        ["space.epochs: must be whole numbers from 1 to 1,000,000, as int, choice or a bare number"],
    ),
    "values that are no numbers": (
        {
            "space": {
                "epochs": 3,
                "dropout": float("nan"),
                "learning_rate": {"type": "choice", "choices": [0.1, float("inf")]},
                "l2": {"type": "float", "low": -1e308, "high": 1e308},
            }
        },
        [
            "space.dropout.value: must be a finite number, got nan",
            "space.learning_rate.choices.1: must be a finite number, got inf",
            "space.l2: low=-1e+308 and high=1e+308 are too far apart; narrow the range",
        ],
    ),
    "lists without end": (
        {
            "space": {
                "epochs": 3,
                "activation": {"type": "choice", "choices": ["relu"] * 1_000_000},
                "l2": {"type": "float", "low": 0.0, "high": 1.0, "step": 1e-9},
                "units_1": {"type": "int", "low": 1, "high": 10**30},
            }
        },
        [
            (
                "space.activation.choices: must be a list of at most 1000, "
                "got ['relu', 'relu', 'relu', 'relu', 'relu', 'relu', ...]"
            ),
            "space.l2: step=1e-09 makes more than 100,000 values; take a larger one, or none",
            "space.units_1.high: must be at most 9007199254740992, got 1000000000000000000000000000000",
        ],
    ),
    "a grid without end": (
        {
            "space": {"epochs": 3, "units_1": {"type": "int", "low": 1, "high": 2_000_000}},
            "sampler": {"name": "grid"},
        },
        [
            (
                "sampler.name: grid tries all points, which are 2,000,000 here; narrow the space, "
                "or take random or tpe"
            )
        ],
    ),
    "zero epochs": (
        {"space": {"epochs": {"low": 0, "high": 3}}},
        ["space.epochs: must be whole numbers from 1 to 1,000,000, as int, choice or a bare number"],
    ),
    "condition on epochs under the rule best": (
        {"space": {"depth": {}, "epochs": {"low": 1, "high": 3, "when": {"depth": [2]}}}},
        ['space.epochs: can have no condition under score.epoch_rule = "best"'],
    ),
    "grid of a continuous space": (
        {"sampler": {"name": "grid"}, "space": {"epochs": 3, "learning_rate": {}, "depth": {}}},
        ["sampler.name: grid needs a finite space; give learning_rate a step or choices"],
    ),
    "points that are none of the space": (
        {
            "space": {
                "epochs": 3,
                "activation": {"choices": ["relu", "tanh"]},
                "depth": {"low": 1, "high": 2},
                "units_2": {},
            },
            "sampler": {
                "name": "points",
                "points": [
                    {"activation": "relu"},
                    {"activation": "elu", "depth": 1},
                    {"activation": "tanh", "depth": 1, "units_2": 30},
                    {"activation": "tanh", "depth": 2, "units_2": 30},
                    {"units_2": 30, "activation": "tanh", "depth": 2},
                ],
            },
        },
        [
            "sampler.points[0]: depth is missing; a point names all that the space leaves open",
            "sampler.points[1]: activation can't be 'elu' in the space",
            "sampler.points[2]: units_2 is no parameter of this point; drop it",
            "sampler.points[4]: is the same as sampler.points[3]; name each one once",
        ],
    ),
    "patience under the rule last": (
        {"score": {"epoch_rule": "last"}, "training": {"patience": 3}},
        ['training.patience: stops at no sampled epoch; use it under score.epoch_rule = "best"'],
    ),
    "a convolution that does not fit": (
        {
            "model": "cnn",
            "space": {"epochs": 3, "padding_1": "valid", "padding_2": "valid", "padding_3": "valid"},
        },
        [
            (
                "space: kernel_size_3=5 with padding valid does not fit a 4x4 map; lower it, "
                'or set padding_3 to "same"'
            )
        ],
    ),
    "names that Keras does not know": (
        {"space": {"epochs": 3, "activation": "rellu", "optimizer": {"choices": ["adam", "Adamm"]}}},
        [
            f"space.activation: unknown 'rellu'; did you mean 'relu'? (allowed: {ACTIVATIONS})",
            f"space.optimizer: unknown 'Adamm'; did you mean 'adam'? (allowed: {OPTIMIZERS})",
        ],
    ),
    "numbers that no model can have": (
        {
            "space": {
                "epochs": 3,
                "depth": {"low": 0, "high": 9},
                "units_1": 0,
                "dropout": 1.5,
                "batch_norm": 1,
                "learning_rate": {"type": "float", "low": -0.1, "high": 0.1},
                "batch_size": 32.0,
            }
        },
        [
            "space.depth: must be a whole number from 1 to 5, got 0",
            "space.depth: must be a whole number from 1 to 5, got 9",
            "space.units_1: must be a whole number from 1 up, got 0",
            "space.dropout: must be a number from 0 to 1, got 1.5",
            "space.batch_norm: must be true or false, got 1",
            "space.learning_rate: must be a number above 0, got -0.1",
            "space.batch_size: must be a whole number from 1 to 2147483647, got 32.0",
        ],
    ),
    "zero epochs of a model that is not there": (
        {"model": "mine", "space": {"epochs": 0}},
        [
            "model: unknown model 'mine' (allowed: dense, cnn, or package.module:HyperModelClass)",
            "space.epochs: must be whole numbers from 1 to 1,000,000, as int, choice or a bare number",
        ],
    ),
    "a study name that is no name": (
        {"study": "a/b"},
        ["study: 'a/b' can't be used; letters, digits, spaces and . _ + - are allowed, at most 100"],
    ),
}


@pytest.mark.parametrize(("sections", "problems"), BAD_SETTINGS.values(), ids=BAD_SETTINGS.keys())
def test_bad_settings_are_told_with_what_is_allowed(
    make_config: MakeConfig, sections: dict[str, Any], problems: list[str]
) -> None:
    """Each mistake gives one line with its path, what was given, and what is allowed."""
    with pytest.raises(ConfigError) as caught:
        make_config(**sections)
    assert list(caught.value.problems) == problems
    assert caught.value.where == "tiny.toml"


def test_a_text_of_a_page_is_told_in_a_line(make_config: MakeConfig) -> None:
    """What was given is repeated, but not the whole of it."""
    with pytest.raises(ConfigError) as caught:
        make_config(model="x" * 100_000, data="y" * 100_000, pruner={"name": "z" * 100_000})
    assert len(caught.value.problems) == 3
    assert all(len(problem) < 500 for problem in caught.value.problems)


def test_settings_of_any_depth_are_told(settings: MakeSettings) -> None:
    """Of a file, of `--set`, and of Python; Python itself would give up on the way."""
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(5000):
        inner["a"] = {}
        inner = inner["a"]
    for given_settings in (settings(space=deep), settings(training={"seed": 16**5000})):
        with pytest.raises(ConfigError) as caught:
            parse_config(given_settings, where="tiny.toml")
        assert len(str(caught.value)) < 200


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    """Editors of Windows begin a file with one, and end its lines in their own way."""
    path = tmp_path / "s.toml"
    path.write_bytes(b'\xef\xbb\xbfstudy = "tiny"\r\nmodel = "dense"\r\n[space]\r\nepochs = 2\r\n')
    assert load_config(path).file.study == "tiny"


def test_all_problems_are_told_at_once(settings: MakeSettings) -> None:
    """Mistakes in every part of the file, of the schema and beyond it, come in one message."""
    given_settings = settings(
        data="mnist",
        prunner={},
        space={"epochs": 3, "depht": 2, "learning_rate": {"low": 1.0, "high": 0.1}},
        score={"metric": "gain"},
        budget={"trials": 0},
    )
    with pytest.raises(ConfigError) as caught:
        parse_config(given_settings, where="a.toml")
    said = str(caught.value).splitlines()
    assert said[0] == "a.toml: 6 problems"
    assert sorted(line.split(":")[0].strip() for line in said[1:]) == [
        "budget.trials",
        "data",
        "prunner",
        "score.metric",
        "space.depht",
        "space.learning_rate",
    ]


def test_a_wrong_value_hides_no_other(settings: MakeSettings) -> None:
    """What the schema can't see, a value of the model or a condition, is told with what it can."""
    given_settings = settings(
        prunner={},
        sampler={"name": "grid"},
        tune_new_entries="no",
        space={
            "epochs": {"low": 0, "high": 3},
            "activation": "rellu",
            "learning_rate": {"low": 1.0, "high": 0.1},
            "l2": {},
            "dropout": {"when": {"batch_norm": ["yes"]}},
        },
        max_model_size=100,
    )
    with pytest.raises(ConfigError) as caught:
        parse_config(given_settings, where="a.toml")
    told = {problem.split(":")[0] for problem in caught.value.problems}
    assert told >= {"prunner", "space.dropout.when", "space.epochs", "space.activation"}
    del given_settings["space"]["dropout"]
    with pytest.raises(ConfigError) as caught:
        parse_config(given_settings, where="a.toml")
    paths = [problem.split(":")[0] for problem in caught.value.problems]
    assert sorted(paths) == [
        "prunner",
        "sampler.name",
        "space.activation",
        "space.epochs",
        "space.learning_rate",
        "tune_new_entries",
    ]
    assert any("give l2 a step or choices" in problem for problem in caught.value.problems)


def test_missing_settings_are_told() -> None:
    """An empty file is told what it needs."""
    with pytest.raises(ConfigError) as caught:
        parse_config({}, where="a.toml")
    assert list(caught.value.problems) == ["study: missing; add it", "model: missing; add it"]


@pytest.mark.parametrize(
    ("sampler", "package", "hint"),
    [
        ("gp", "torch", "pip install 'fmnist-sweep[gp]', or use tpe"),
        ("cmaes", "cmaes", "pip install cmaes, or use tpe"),
        ("qmc", "scipy", "pip install scipy, or use tpe"),
    ],
)
def test_a_sampler_without_its_package_is_refused(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, sampler: str, package: str, hint: str
) -> None:
    """A sampler that would fail in the middle of the study is refused when the file is read."""
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else importlib.machinery
    )
    with pytest.raises(ConfigError) as caught:
        make_config(sampler={"name": sampler})
    assert caught.value.problems == (f"sampler.name: {sampler} needs {package}, not installed here; {hint}",)


# --- files and overrides -----------------------------------------------------------------------------------


@pytest.fixture
def sweep_file(tmp_path: Path) -> Path:
    """A small sweep file."""
    path = tmp_path / "a.toml"
    path.write_text('study = "a"\nmodel = "dense"\n[space]\nepochs = 3\n[budget]\ntrials = 4\n')
    return path


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "no such file, nor a shipped sweep of that name (shipped: cnn, cnn-large, "),
        (b"a = = 3", "not TOML: Invalid value (at line 1, column 5)"),
        (
            b"a = 1\nb = '\xe4'",
            "can't be read as text: byte 0xe4 in line 2 is not UTF-8",
        ),
        ("study = 'a'".encode("utf-16"), "is text in UTF-16; save it as UTF-8, as TOML is written"),
        (b"a = " + b"[" * 5000, "lists and tables are nested too deeply"),
        (b"a" + b".a" * 5000 + b" = 1", "lists and tables are nested too deeply"),
        (b"a = " + b"9" * 5000, "not TOML: it holds a number of a thousand digits or more"),
    ],
)
def test_a_file_that_can_not_be_read_is_told(tmp_path: Path, content: bytes | None, problem: str) -> None:
    """A missing file, no TOML and no text: the file is named and so is the reason."""
    path = tmp_path / "a.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert caught.value.where == str(path)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(problem)


def test_a_directory_is_no_sweep_file(tmp_path: Path) -> None:
    """A folder in place of a file is a clear error."""
    with pytest.raises(ConfigError, match="is a folder; name a sweep file in it"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("budget.trials=7", "budget.trials", 7),
        ("score.penalty=0.5", "score.penalty", 0.5),
        ("score.penalty = 2e-1", "score.penalty", 0.2),
        ('study="b"', "study", "b"),
        ("study=my study", "study", "my study"),
        ("sampler.name=random", "sampler.name", "random"),
        ("training.train_size=100", "training.train_size", 100),
        ("sampler.enqueue_default=false", "sampler.enqueue_default", False),
        ("space.depth=2", "space.depth.value", 2),
        ("space.depth.low=2", "space.depth.low", 2),
        ('space.activation={ choices = ["elu"] }', "space.activation.choices", ["elu"]),
        ("study=2026-01-01", "study", "2026-01-01"),
    ],
)
def test_an_override_replaces_a_setting(sweep_file: Path, override: str, path: str, value: Any) -> None:
    """Numbers, texts with and without quotes, tables, settings in sections that the file does not have."""
    found: Any = load_config(sweep_file, [override]).to_dict()
    for part in path.split("."):
        found = found[part]
    assert found == value
    assert type(found) is type(value)


def test_the_last_of_several_overrides_counts(sweep_file: Path) -> None:
    """Overrides are applied in the order in which they are given."""
    config = load_config(sweep_file, ["budget.trials=7", "budget.epochs=9", "budget.trials=8"])
    assert (config.file.budget.trials, config.file.budget.epochs) == (8, 9)


def test_bad_overrides_are_told_all_at_once(sweep_file: Path) -> None:
    """An override that is no KEY=VALUE, or goes through a value, is named as it was typed."""
    with pytest.raises(ConfigError) as caught:
        load_config(sweep_file, ["budget.trials", "=3", "a..b=3", "study.x=3"])
    usage = "write it as section.key=value, such as score.penalty=2"
    assert list(caught.value.problems) == [
        f"--set budget.trials: {usage}",
        f"--set =3: {usage}",
        f"--set a..b=3: {usage}",
        "--set study.x=3: study is a value, not a section",
    ]


def test_an_overridden_setting_is_checked_like_any_other(sweep_file: Path) -> None:
    """A bad value from the command line gives the same line as in the file."""
    with pytest.raises(ConfigError, match=r"budget.trials: must be a whole number, got 'many'"):
        load_config(sweep_file, ["budget.trials=many"])


# --- the space ---------------------------------------------------------------------------------------------


def test_an_entry_without_a_type_narrows_the_models_own(make_config: MakeConfig) -> None:
    """What the entry leaves out - type, log, bounds, condition - is the model's."""
    space = make_config(space={"learning_rate": {"high": 1e-3}, "units_2": {"low": 64}, "depth": {}}).space
    assert space["learning_rate"] == FloatParameter(low=1e-5, high=1e-3, log=True)
    assert space["units_2"] == IntParameter(low=64, high=1024, log=True, when={"depth": (2, 3, 4, 5)})


def test_an_entry_with_a_type_replaces_the_models_own(make_config: MakeConfig) -> None:
    """A typed entry inherits nothing."""
    entry = {"type": "choice", "choices": [10, 20]}
    space = make_config(space={"units_2": entry, "depth": 3, "epochs": 1}).space
    assert space["units_2"] == ChoiceParameter(choices=(10, 20))


def test_a_narrowed_parent_drops_what_it_rules_out(make_config: MakeConfig) -> None:
    """Children that can't exist any more leave the space, and the conditions of the others shrink."""
    space = make_config(space={"depth": {"high": 3}, "epochs": 1}, tune_new_entries=True).space
    assert "units_4" not in space
    assert "units_5" not in space
    assert space["units_2"].when == {"depth": (2, 3)}
    assert space["units_3"].when == {"depth": (3,)}


def test_children_of_dropped_parameters_are_dropped(make_config: MakeConfig) -> None:
    """Dropping goes on down the conditions: a fixed single block has no third padding."""
    space = make_config(model="cnn", space={"conv_blocks": 1, "epochs": 1}, tune_new_entries=True).space
    assert [name for name in space if name.endswith(("_2", "_3"))] == []


def test_a_condition_of_the_file_itself_must_be_possible(make_config: MakeConfig) -> None:
    """Only inherited conditions shrink silently; one that the file states is a mistake."""
    with pytest.raises(ConfigError, match=r"space.dropout.when: depth can never be 3"):
        make_config(space={"depth": {"high": 2}, "dropout": {"when": {"depth": [2, 3]}}, "epochs": 1})


def test_without_new_entries_the_rest_is_fixed_at_the_models_default(make_config: MakeConfig) -> None:
    """tune_new_entries = false: what the file does not name is held at the default, under its condition."""
    config = make_config(space={"depth": {}, "epochs": 3}, tune_new_entries=False)
    assert config.space.searched == ("depth",)
    assert config.space["l2"] == FixedParameter(value=1e-4)
    assert config.space["units_3"] == FixedParameter(value=100, when={"depth": (3, 4, 5)})


@pytest.mark.parametrize("name", ["dense", "cnn"])
def test_optional_parameters_are_absent_unless_named(make_config: MakeConfig, name: str) -> None:
    """The hand-tuned sweeps hold nothing of what the models learned later, so neither do their digests."""
    config = load_config(Path("sweeps", f"{name}.toml"))
    assert not set(config.space) & config.model_space.optional
    named = make_config(space={"flip": True, "optimizer": "adamw", "weight_decay": {}, "epochs": 3})
    assert set(named.space) & named.model_space.optional == {"flip", "weight_decay"}


@pytest.mark.parametrize("model", ["dense", "cnn"])
def test_weights_are_counted_without_what_has_none(make_config: MakeConfig, model: str) -> None:
    """The parameters that the corners leave out change no count."""
    config = make_config(model=model, space={"epochs": 3}, tune_new_entries=True)
    count = config.model_space.n_parameters
    assert count is not None
    rng = np.random.default_rng(0)
    for _ in range(50):
        one, other = (config.space.sample(rng) for _ in range(2))
        mixed = {**one, **{name: value for name, value in other.items() if name in _WITHOUT_WEIGHTS}}
        assert count(mixed, (28, 28, 1), 10) == count(one, (28, 28, 1), 10)


def test_with_new_entries_the_rest_is_searched(make_config: MakeConfig) -> None:
    """tune_new_entries = true: what the file does not name is searched as the model declares it."""
    config = make_config(space={"depth": 2, "epochs": 3}, tune_new_entries=True)
    assert config.space["l2"] == DENSE_SPACE["l2"]
    assert set(config.space.searched) == {
        "learning_rate", "l2", "activation", "optimizer", "batch_size", "batch_norm", "dropout",
        "units_1", "units_2", *(config.model_space.optional - config.model_space.only_named),
    }  # fmt: skip


@pytest.mark.parametrize("model", ["dense", "cnn"])
def test_what_was_learned_last_is_searched_where_it_is_named(make_config: MakeConfig, model: str) -> None:
    """A file that searches the whole space keeps its study: only its own words bring them in."""
    whole = make_config(model=model, space={"epochs": 3}, tune_new_entries=True)
    assert whole.model_space.only_named == {"alternate_flips", "erase", "ema"}
    assert not set(whole.space) & whole.model_space.only_named
    named = make_config(
        model=model, space={"epochs": 3, "erase": {}, "ema": {}, "alternate_flips": {}}, tune_new_entries=True
    )
    assert set(named.space.searched) - set(whole.space.searched) == whole.model_space.only_named


def test_under_the_rule_best_epochs_are_not_sampled(make_config: MakeConfig) -> None:
    """One run of the most epochs holds every shorter one."""
    config = make_config(space={"depth": {}, "epochs": {"low": 2, "high": 6, "step": 2}})
    assert list(config.epochs) == [2, 4, 6]
    assert config.allowed_epochs == [1, 3, 5]
    assert "epochs" not in config.sampled_space
    last = make_config(space={"depth": {}, "epochs": {"low": 2, "high": 6}}, score={"epoch_rule": "last"})
    assert "epochs" in last.sampled_space


def test_the_default_point_is_the_models_default_in_the_space(make_config: MakeConfig) -> None:
    """The hand-tuned baseline, with the parameters that exist at its depth and no others."""
    point = make_config(space={"learning_rate": {}, "depth": {"high": 3}, "epochs": 3}).default_point
    assert point is not None
    assert {k: v for k, v in DENSE_DEFAULTS.items() if k in point} == point
    assert {"units_1", "units_2", "learning_rate"} <= set(point)
    assert not {"units_3", "epochs"} & set(point)


@pytest.mark.parametrize(
    "space",
    [
        {"learning_rate": {"low": 1e-3}, "epochs": 3},  # the default lies below
        {"activation": {"choices": ["tanh", "elu"]}, "epochs": 3},
        {"epochs": 3},  # nothing is searched
    ],
)
def test_a_default_outside_the_space_is_no_point(make_config: MakeConfig, space: dict[str, Any]) -> None:
    """There is no default trial where the default is ruled out, or where there is nothing to search."""
    assert make_config(space=space).default_point is None


def test_parameter_counts_span_the_corners(make_config: MakeConfig) -> None:
    """The printed range is that of the smallest and largest net of the space."""
    config = make_config(
        space={"depth": {"low": 1, "high": 2}, "units_1": {"low": 100, "high": 300}, "epochs": 1}
    )
    # Depth 1 with 100 units; depth 2 with 300 and the default 200.
    assert config.n_parameters_range() == (785 * 100 + 101 * 10, 297_710)


# --- digest and round trip ---------------------------------------------------------------------------------

DECIDING: list[dict[str, Any]] = [
    {"model": "fmnist_sweep.models:DenseModel", "space": {"epochs": 4}},
    {"data": "package.module:load"},
    {"space": {"epochs": 5}},
    {"score": {"penalty": 2.0}},
    {"score": {"metric": "cross_entropy"}},
    {"training": {"seed": 1}},
    {"training": {"patience": 2}},
]


@pytest.mark.usefixtures("own_data")
@pytest.mark.parametrize("sections", DECIDING, ids=str)
def test_the_digest_changes_with_what_decides_a_result(
    make_config: MakeConfig, sections: dict[str, Any]
) -> None:
    """Another model, data set, space, score or training makes trials that can't be compared."""
    assert make_config(**sections).digest != make_config().digest


@pytest.mark.parametrize(
    "sections",
    [
        {"study": "other"},
        {"budget": {"trials": 99, "seconds": 5.0, "max_retries": 0, "trial_seconds": 9.5}},
        {"sampler": {"name": "random", "seed": 5}},
        {"pruner": {"name": "hyperband"}},
        {"score": {"penalty": 0}},  # the default, written as a whole number
        {"training": {"seed": 0}},
    ],
    ids=str,
)
def test_the_digest_does_not_change_with_the_rest(make_config: MakeConfig, sections: dict[str, Any]) -> None:
    """Budget, sampler and pruner may change within a study, and writing a default out changes nothing."""
    assert make_config(**sections).digest == make_config().digest


@pytest.mark.usefixtures("own_data")
@pytest.mark.parametrize("sections", [{}, *DECIDING[1:], {"tune_new_entries": True}], ids=str)
def test_the_stored_form_reads_back_as_the_same_config(
    make_config: MakeConfig, sections: dict[str, Any]
) -> None:
    """What the study stores is a sweep file: parsing it gives the same digest and the same space."""
    config = make_config(**sections)
    again = parse_config(config.to_dict(), where="stored")
    assert again.digest == config.digest
    assert again.space == config.space
    assert again.to_dict() == config.to_dict()
    assert differences(config.to_dict(), again.to_dict()) == []


narrowings = st.fixed_dictionaries(
    {"epochs": st.integers(1, 30)},
    optional={
        "learning_rate": st.tuples(st.floats(1e-5, 1e-2), st.floats(1e-5, 1e-2)).map(
            lambda ends: {"low": min(ends), "high": max(ends)}
        ),
        "depth": st.tuples(st.integers(1, 5), st.integers(1, 5)).map(
            lambda ends: {"low": min(ends), "high": max(ends)}
        ),
        "units_3": st.integers(16, 512).map(lambda low: {"low": low}),
        "activation": st.lists(st.sampled_from(spaces.ACTIVATIONS), min_size=1, unique=True).map(
            lambda choices: {"choices": choices}
        ),
        "batch_norm": st.booleans(),
    },
)


@given(space=narrowings, tune=st.booleans())
@hypothesis_settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_narrowed_space_reads_back_the_same(
    make_config: MakeConfig, space: dict[str, Any], tune: bool
) -> None:
    """However a file narrows the model's space, its stored form gives the same digest."""
    config = make_config(space=space, tune_new_entries=tune)
    assert parse_config(config.to_dict(), where="stored").digest == config.digest


def test_differences_name_what_decides_and_differs(make_config: MakeConfig) -> None:
    """A line for each setting with both values; budget, sampler and pruner are left out."""
    stored = make_config()
    now = make_config(
        score={"penalty": 2.0},
        training={"train_size": 100},
        budget={"trials": 99},
        space={**stored.to_dict()["space"], "activation": "relu"},
    )
    assert differences(stored.to_dict(), now.to_dict()) == [
        "score.penalty: the study has 0.0, now 2.0",
        "space.activation.choices: the study has ['relu', 'tanh'], now 'nothing'",
        "space.activation.type: the study has 'choice', now 'fixed'",
        "space.activation.value: the study has 'nothing', now 'relu'",
        "training.train_size: the study has None, now 100",
    ]


def test_sections_become_the_records_of_the_lower_layers(make_config: MakeConfig) -> None:
    """Score rule and split carry what the file says."""
    config = make_config(
        score={"metric": "cross_entropy", "penalty": 2, "tolerance": 0, "min_val_accuracy": 0.5},
        training={"n_val": 100, "split_seed": 3, "train_size": 50},
    )
    assert config.score_rule == ScoreRule("cross_entropy", 2.0, 0.0, "best", 0.5)
    assert config.split == SplitSpec(n_val=100, seed=3, train_size=50)


# --- a user's own model ------------------------------------------------------------------------------------


@pytest.fixture
def own_model(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A user's HyperModel whose discovery is scripted; the list takes the paths that were discovered."""
    asked: list[str] = []
    space = SearchSpace(
        {
            "layers": IntParameter(low=1, high=2),
            "width_2": IntParameter(low=8, high=64, when={"layers": (2,)}),
        }
    )

    def discover(
        path: str, *, input_shape: tuple[int, ...], n_classes: int, scaled: str | None, **_: object
    ) -> ModelSpace:
        assert (input_shape, n_classes, scaled) == ((28, 28, 1), 10, "bytes")
        asked.append(path)
        return ModelSpace(path, space, {"layers": 1, "width_2": 8}, seen_n_parameters=(10, 90))

    monkeypatch.setattr(catalog, "model_space", discover)
    return asked


def test_a_users_model_is_narrowed_by_its_discovered_space(
    make_config: MakeConfig, own_model: list[str]
) -> None:
    """Entries without a type narrow what the discovery found, as for a built-in model."""
    config = make_config(model="mine.nets:Net", space={"width_2": {"high": 16}, "layers": {}, "epochs": 2})
    assert own_model == ["mine.nets:Net"]
    assert config.space["width_2"] == IntParameter(low=8, high=16, when={"layers": (2,)})
    assert config.model_space.path == "mine.nets:Net"
    assert config.n_parameters_range() == (10, 90)
    assert config.default_point == {"layers": 1}


def test_a_users_model_is_not_discovered_while_there_are_other_problems(
    make_config: MakeConfig, own_model: list[str]
) -> None:
    """Discovery takes seconds: every mistake that needs none is told first."""
    with pytest.raises(ConfigError, match="must be at least 1, got 0"):
        make_config(model="mine.nets:Net", budget={"trials": 0})
    assert own_model == []


def test_a_users_model_needs_epochs_from_the_file(make_config: MakeConfig, own_model: list[str]) -> None:
    """A model that declares no epochs gets them from the sweep file, and is told so."""
    with pytest.raises(ConfigError, match=r"space.epochs: missing; say how many epochs a trial trains"):
        make_config(model="mine.nets:Net", space={"layers": {}})
    assert own_model == ["mine.nets:Net"]


def test_a_users_model_may_ask_for_what_discovery_missed(
    make_config: MakeConfig, own_model: list[str]
) -> None:
    """A new name with a type is taken as it is; one that looks misspelt is refused."""
    extra = {"type": "float", "low": 0.0, "high": 1.0}
    config = make_config(model="mine.nets:Net", space={"noise": extra, "epochs": 2})
    assert config.space["noise"] == FloatParameter(low=0.0, high=1.0)
    with pytest.raises(ConfigError, match=r"space.layer: .* did you mean 'layers'\?"):
        make_config(model="mine.nets:Net", space={"layer": extra, "epochs": 2})
    assert len(own_model) == 2


def test_a_users_data_set_decides_what_can_be_built(make_config: MakeConfig, own_data: DataRef) -> None:
    """A convolution is checked, and parameters are counted, for the images that will be trained on."""
    config = make_config(space={"depth": 1, "units_1": 10, "epochs": 1}, data="mine:load")
    assert config.data is own_data
    assert config.n_parameters_range() == ((2 * 2 + 1) * 10 + 11 * 2,) * 2
    space = {"conv_blocks": 1, "padding_1": "valid", "kernel_size_1": 5, "epochs": 1}
    with pytest.raises(ConfigError, match="kernel_size_1=5 with padding valid does not fit a 2x2 map"):
        make_config(model="cnn", space=space, data="mine:load")


@pytest.mark.parametrize(
    ("name", "off", "on"),
    [("running_metrics", False, True), ("exact_steps", False, True), ("fit_epochs", None, 7)],
)
def test_a_setting_that_is_off_leaves_no_trace(
    make_config: Callable[..., SweepConfig], name: str, off: object, on: object
) -> None:
    """Studies from before there was such a setting have the same digest now; those with it have another."""
    plain, without, with_it = (make_config(training=given) for given in ({}, {name: off}, {name: on}))
    assert name not in without.to_dict()["training"]
    assert plain.digest == without.digest != with_it.digest
    assert getattr(parse_config(with_it.to_dict(), where="again").file.training, name) == on


def test_files_are_looked_for_beside_the_sweep_file_and_then_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: MakeSettings
) -> None:
    """A file that is in neither is told with both; the settings hold no folder, so that no digest changes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    file = tmp_path / "sub" / "s.toml"
    given = settings(data="d.npz", training={"n_val": 10, "n_probe": 10})
    file.write_bytes(tomli_w.dumps(given).encode())
    with pytest.raises(ConfigError) as caught:
        load_config(Path("sub/s.toml"))
    beside, here = tmp_path / "sub" / "d.npz", tmp_path / "d.npz"
    assert caught.value.problems == (f"data: there is no file {beside} or {here}",)
    x, y = np.zeros((40, 28, 28), np.uint8), np.arange(40) % 2
    np.savez(here, x_train=x, y_train=y)
    first = load_config(Path("sub/s.toml"))
    np.savez(beside, x_train=x + 1, y_train=y)
    second = load_config(Path("sub/s.toml"))
    assert first.data is not None
    assert second.data is not None
    assert first.data.digest != second.data.digest
    assert first.digest == second.digest
    assert second.folders == (tmp_path / "sub", tmp_path)


def test_a_model_and_data_of_a_library_s_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: MakeSettings
) -> None:
    """Both at once, and before anything is imported."""
    monkeypatch.chdir(tmp_path)
    for name in ("random", "numpy"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the user has one of that name')")
    with pytest.raises(ConfigError) as caught:
        parse_config(settings(model="random:Net", data="numpy:make"), where="a.toml")
    model, data = caught.value.problems
    assert model.startswith(f"model: {tmp_path / 'random.py'} has the name of the module random of Python's")
    assert data.startswith(f"data: {tmp_path / 'numpy.py'} has the name of the package numpy, which")
