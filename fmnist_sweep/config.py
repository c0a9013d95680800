"""A sweep file becomes one validated, frozen `SweepConfig`, before data or TensorFlow are touched."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from fmnist_sweep import catalog
from fmnist_sweep.config_errors import describe, sound_part
from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.jobs import DataRef, Hyperparameters, Scalar, SplitSpec
from fmnist_sweep.core.score import ScoreRule, exceeds
from fmnist_sweep.core.space import FixedParameter, Parameter, SearchSpace
from fmnist_sweep.data import check_source, open_data
from fmnist_sweep.data.fashion_mnist import NAME as FASHION_MNIST
from fmnist_sweep.limits import name_problems, value_problems
from fmnist_sweep.overrides import apply_override
from fmnist_sweep.points import all_points, n_points, points_problems
from fmnist_sweep.sweep_file import SweepFile

DECIDES: Final = ("model", "data", "space", "score", "training")
"""Sections that decide a trial's result or its score: a study holds trials of one setting of them."""

_EXTRA_PACKAGES: Final = {"gp": ("torch", "scipy"), "cmaes": ("cmaes",), "qmc": ("scipy",)}

_LATER_SWITCHES: Final = ("running_metrics", "exact_steps")
"""Settings of ``[training]`` that are off by default and that studies of earlier versions do not hold."""

_FASHION_MNIST_IMAGES: Final = ((28, 28, 1), 10)

_WITHOUT_WEIGHTS: Final = frozenset(
    {"learning_rate", "l2", "activation", "optimizer", "batch_size", "dropout", "epochs", "pooling"}
    | {"weight_decay", "label_smoothing", "schedule", "schedule_epochs", "flip", "shift", "conv_dropout"}
)


@dataclass(frozen=True)
class SweepConfig:
    """All settings of a sweep, checked and resolved. Make one with `load_config`.

    Attributes:
        file: The sections of the sweep file, overrides applied.
        model_space: The model's own space and defaults.
        space: What is searched: the model's own space with the file's entries in place. Parameters that
            neither names for searching are fixed at the model's default.
        data: The data set, where it had to be opened to know its images; None for Fashion-MNIST.
    """

    file: SweepFile
    model_space: catalog.ModelSpace
    space: SearchSpace
    data: DataRef | None = None

    @property
    def score_rule(self) -> ScoreRule:
        """The rule that scores a learning curve."""
        return ScoreRule(**self.file.score.model_dump())

    @property
    def split(self) -> SplitSpec:
        """The split of the training images."""
        training = self.file.training
        return SplitSpec(training.n_val, training.split_seed, training.train_size)

    @property
    def epochs(self) -> Sequence[int]:
        """Numbers of epochs that the space allows, ascending."""
        return sorted(int(v) for v in self.space["epochs"].values() or ())

    @property
    def allowed_epochs(self) -> list[int] | None:
        """The epochs, from 0, that may be scored under the rule ``"best"``; None under ``"last"``."""
        best = self.file.score.epoch_rule == "best"
        return [n - 1 for n in self.epochs] if best else None

    @cached_property
    def sampled_space(self) -> SearchSpace:
        """What the sampler draws. Under the rule ``"best"`` one run holds every number of epochs."""
        return self.space.without("epochs") if self.file.score.epoch_rule == "best" else self.space

    @property
    def points(self) -> list[dict[str, Scalar]]:
        """What the sampler tries, in order, where that is a finite number of points."""
        return all_points(self.sampled_space, self.file.sampler)

    @property
    def n_points(self) -> float:
        """Number of distinct points that there are to try; ``inf`` where a parameter is continuous."""
        return n_points(self.sampled_space, self.file.sampler)

    @property
    def default_point(self) -> dict[str, Scalar] | None:
        """The model's default configuration as a point of the sampled space; None where it lies outside."""
        defaults = self.model_space.defaults
        searched = set(self.sampled_space.searched)
        if not searched or not searched <= set(defaults):
            return None
        point = self.sampled_space.fill(lambda name, _: defaults[name])
        return point if self.sampled_space.contains(point) and not self.is_too_large(point) else None

    def is_too_large(self, point: Hyperparameters) -> bool:
        """Return whether a point has more weights than the sweep's limit, as far as the catalog can count."""
        return exceeds(self.file.max_model_size, self.n_parameters(point))

    def n_parameters(self, point: Hyperparameters) -> int | None:
        """Return the number of weights at a point; None where only a build can count them."""
        count = self.model_space.n_parameters
        return None if count is None else count(point, *_images(self.data))

    def n_parameters_range(self) -> tuple[int, int] | None:
        """Return the fewest and most weights over the corners of the space.

        A user's own model tells what the builds that discovered its space have shown.
        """
        count = self.model_space.n_parameters
        if count is None:
            return self.model_space.seen_n_parameters
        counts = [count(point, *_images(self.data)) for point in _shapes(self.space)]
        return min(counts), max(counts)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain JSON values, laid out like a sweep file, the space resolved."""
        settings = self.file.model_dump(mode="json")
        settings["space"] = {name: self.space[name].model_dump(mode="json") for name in self.space}
        for name in _LATER_SWITCHES:
            # Left out where it is off: the study's digest stays what it was before there was such a setting.
            if not settings["training"][name]:
                del settings["training"][name]
        return settings

    @property
    def digest(self) -> str:
        """SHA-256 over the settings that decide results: equal digests make comparable trials."""
        decides = {key: value for key, value in self.to_dict().items() if key in DECIDES}
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def load_config(path: Path, overrides: Sequence[str] = ()) -> SweepConfig:
    """Read a sweep file.

    Args:
        path: A TOML file.
        overrides: ``"section.key=value"`` settings that replace the file's, values as TOML writes them; a
            value that is no TOML is taken as text.

    Raises:
        ConfigError: The file can't be read or has problems; all that can be found at once are listed.

    Example:
        >>> load_config(Path("sweeps/dense.toml"), ["budget.trials=5"]).file.budget.trials
        5
    """
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(str(path), ["no such file; sweep files of this project are in sweeps/"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"can't be read as text: {error}"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(path), [f"not TOML: {error}"]) from None
    problems = [p for override in overrides for p in apply_override(settings, override)]
    if problems:
        raise ConfigError(str(path), problems)
    return parse_config(settings, where=str(path))


def parse_config(settings: Mapping[str, Any], *, where: str) -> SweepConfig:
    """Return the settings of a sweep given as a mapping laid out like a sweep file.

    Raises:
        ConfigError: As for `load_config`; ``where`` opens its message.
    """
    model = settings.get("model")
    own = catalog.MODELS.get(model) if isinstance(model, str) else None
    file, config, problems = _first_look(settings, own)
    if problems or file is None:
        raise ConfigError(where, problems)
    if config is not None and file.data == FASHION_MNIST:
        return config
    # A user's own images decide what can be built.
    data = None if file.data == FASHION_MNIST else open_data(file.data)
    if own is None:
        shape, n_classes = _images(data)
        own = catalog.model_space(file.model, input_shape=shape, n_classes=n_classes)
        file, _, problems = _validate(settings, own)
        problems += name_problems(settings.get("space"), own)
        if problems or file is None:
            raise ConfigError(where, problems)
    config, problems = _whole_problems(file, own, data, given=settings)
    if config is None or problems:
        raise ConfigError(where, problems)
    return config


def _first_look(
    settings: Mapping[str, Any], own: catalog.ModelSpace | None
) -> tuple[SweepFile | None, SweepConfig | None, list[str]]:
    """Return what can be made of the settings, and all that is wrong, before anything is opened or built.

    Discovering a user's model takes seconds: what needs no discovery comes first.
    """
    model = settings.get("model")
    file, sound, problems = _validate(settings, own)
    if isinstance(model, str):
        problems += [f"model: {problem}" for problem in catalog.name_problems(model)]
    if isinstance(settings.get("data"), str):
        problems += [f"data: {problem}" for problem in check_source(settings["data"])]
    problems += _sampler_problems(settings)
    if own is not None:
        problems += name_problems(settings.get("space"), own)
    config = None
    if own is not None and sound is not None:
        # What of the file is right is looked at all the same: one message tells all that is wrong.
        config, more = _whole_problems(sound, own, None, given=settings)
        problems += more
    elif sound is not None:
        problems += _n_epochs_problems(sound)
    return file, config, problems


def _whole_problems(
    file: SweepFile, own: catalog.ModelSpace, data: DataRef | None, *, given: Mapping[str, Any]
) -> tuple[SweepConfig | None, list[str]]:
    """Return the settings joined with the model's own space, and what is wrong with them as a whole.

    Args:
        file: Sound sections.
        own: The model's own space.
        data: A user's own data; None before they are opened, and for Fashion-MNIST.
        given: The settings as they were given.
    """
    space, problems = _resolve_space(file, own)
    told = given.get("space")
    # What is left out for being wrong is not missing, and may well have been finite.
    wrong = set(told) - set(file.space) if isinstance(told, Mapping) else set()
    if "epochs" in wrong:
        problems = [p for p in problems if not p.startswith("space.epochs: missing")]
    entries = {} if own.n_parameters is None else file.space
    unusable = [f"space.{problem}" for n, entry in entries.items() for problem in value_problems(n, entry)]
    epochs = _n_epochs_problems(file)
    problems += [*epochs, *unusable]
    if space is None or "epochs" not in space:
        return None, problems
    config = SweepConfig(file, own, space, data)
    if not epochs:
        problems += _epochs_problems(config)
    if not unusable and (data is not None or file.data == FASHION_MNIST):
        problems += [*_fit_problems(config), *_size_problems(config)]
    sampled = config.sampled_space
    endless = [n for n in sampled if sampled[n].values() is None and n not in wrong]
    if file.sampler.name == "grid" and endless:
        mend = f"grid needs a finite space; give {', '.join(endless)} a step or choices"
        problems.append(f"sampler.name: {mend}")
    if not unusable and not epochs:
        problems += points_problems(sampled, file.sampler)
    return config, problems


def differences(stored: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the settings that decide results and differ between two configs, a line each."""
    before, after = dict(_flatten(stored)), dict(_flatten(now))
    return [
        f"{key}: the study has {before.get(key, 'nothing')!r}, now {after.get(key, 'nothing')!r}"
        for key in sorted({*before, *after})
        if key.split(".")[0] in DECIDES and before.get(key) != after.get(key)
    ]


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value


def _validate(
    settings: Mapping[str, Any], own: catalog.ModelSpace | None
) -> tuple[SweepFile | None, SweepFile | None, list[str]]:
    """Check the settings; space entries without a type narrow the model's own, once that is known.

    Returns:
        The file, or None where something is wrong; what is right of it, as far as that makes a file; what is
        wrong.
    """
    given = dict(settings)
    if isinstance(given.get("space"), dict):
        entries = {name: _narrowed(name, entry, own) for name, entry in given["space"].items()}
        given["space"] = {n: e for n, e in entries.items() if own is not None or not _narrows(e)}
    for section, default in (("sampler", "tpe"), ("pruner", "median")):
        if isinstance(given.get(section), dict):
            given[section] = {"name": default, **given[section]}
    try:
        file = SweepFile.model_validate(given)
    except ValidationError as error:
        try:
            sound = SweepFile.model_validate(sound_part(given, error))
        except ValidationError:
            sound = None
        return None, sound, describe(error, SweepFile)
    return file, file, []


def _narrows(entry: Any) -> bool:
    return isinstance(entry, dict) and "type" not in entry


def _narrowed(name: str, entry: Any, own: catalog.ModelSpace | None) -> Any:
    if own is None or not _narrows(entry) or name not in own.space:
        return entry
    return {**own.space[name].model_dump(), **entry}


def _resolve_space(file: SweepFile, own: catalog.ModelSpace) -> tuple[SearchSpace | None, list[str]]:
    problems = []
    parameters: dict[str, Parameter] = {}
    for name in own.space:
        if name in file.space:
            parameters[name] = file.space[name]
        elif file.tune_new_entries:
            parameters[name] = own.space[name]
        elif name not in own.optional:
            parameters[name] = FixedParameter(value=own.defaults[name], when=own.space[name].when)
    parameters.update({n: p for n, p in file.space.items() if n not in parameters})
    inherited = {n for n, p in parameters.items() if n in own.space and p.when == own.space[n].when}
    if "epochs" not in parameters:
        problems.append("space.epochs: missing; say how many epochs a trial trains, such as epochs = 10")
    try:
        return SearchSpace(_reachable(parameters, inherited)), problems
    except ValueError as error:
        return None, [*problems, *(f"space.{line}" for line in str(error).splitlines())]


def _reachable(parameters: Mapping[str, Parameter], inherited: set[str]) -> dict[str, Parameter]:
    """Drop what a narrowed parent rules out from the conditions that the model itself declares."""
    kept = dict(parameters)
    while True:
        for name in inherited & set(kept):
            when = {
                parent: tuple(v for v in allowed if parent in kept and kept[parent].contains(v))
                for parent, allowed in kept[name].when.items()
            }
            if not all(when.values()):
                del kept[name]
                break
            kept[name] = kept[name].model_copy(update={"when": when})
        else:
            return kept


def _sampler_problems(settings: Mapping[str, Any]) -> list[str]:
    sampler = settings.get("sampler")
    name = sampler.get("name") if isinstance(sampler, Mapping) else None
    # Optuna imports these in the middle of a study, after the trials that start it.
    missing = [p for p in _EXTRA_PACKAGES.get(str(name), ()) if importlib.util.find_spec(p) is None]
    if not missing:
        return []
    how = "pip install 'fmnist-sweep[gp]'" if name == "gp" else f"pip install {' '.join(missing)}"
    return [f"sampler.name: {name} needs {', '.join(missing)}, not installed here; {how}, or use tpe"]


def _n_epochs_problems(file: SweepFile) -> list[str]:
    values = file.space["epochs"].values() if "epochs" in file.space else ()
    if values is not None and all(type(v) is int and v >= 1 for v in values):
        return []
    return ["space.epochs: must be whole numbers from 1 up, as int, choice or a bare number"]


def _epochs_problems(config: SweepConfig) -> list[str]:
    epochs = config.space["epochs"]
    if epochs.when and config.file.score.epoch_rule == "best":
        return ['space.epochs: can have no condition under score.epoch_rule = "best"']
    if config.file.training.patience is not None and config.file.score.epoch_rule == "last":
        return ['training.patience: stops at no sampled epoch; use it under score.epoch_rule = "best"']
    return []


def _fit_problems(config: SweepConfig) -> list[str]:
    check = config.model_space.problems
    if check is None:
        return []
    shape, _ = _images(config.data)
    for point in _shapes(config.space):
        problems = check(point, shape)
        if problems:
            return [f"space: {problem}" for problem in problems]
    return []


def _size_problems(config: SweepConfig) -> list[str]:
    limit = config.file.max_model_size
    # The builds that discovered a user's model need not have met its smallest.
    counts = None if limit is None or config.model_space.n_parameters is None else config.n_parameters_range()
    if limit is None or counts is None or counts[0] <= limit:
        return []
    smallest = f"the smallest model of the space has {counts[0]:,} weights, more than {limit:,}"
    return [f"max_model_size: {smallest}; raise it, or let the space reach lower"]


def _images(data: DataRef | None) -> tuple[tuple[int, ...], int]:
    """Return the shape of one image and the number of classes."""
    return _FASHION_MNIST_IMAGES if data is None else (data.input_shape, data.n_classes)


def _shapes(space: SearchSpace) -> Iterator[dict[str, Scalar]]:
    """Yield the corners of the space over the parameters that decide the shapes of the weights."""
    parents = {parent for name in space if name not in _WITHOUT_WEIGHTS for parent in space[name].when}
    return space.without(*(_WITHOUT_WEIGHTS - parents)).corners()
