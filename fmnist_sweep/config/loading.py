"""A sweep file becomes one validated, frozen `SweepConfig`, before data or TensorFlow are touched."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from pydantic import ValidationError

from fmnist_sweep.config.limits import entry_problems, value_problems
from fmnist_sweep.config.messages import describe, sound_part
from fmnist_sweep.config.narrowing import narrowed, narrowing_problems, narrows, typed_epochs
from fmnist_sweep.config.overrides import apply_override
from fmnist_sweep.config.own_functions import function_problems
from fmnist_sweep.config.pausing import pausing_problems
from fmnist_sweep.config.points import points_problems
from fmnist_sweep.config.schema import AddedSection, SweepFile
from fmnist_sweep.config.scored import returned_problems, tie_problems, with_score
from fmnist_sweep.config.shipped import shipped_sweep
from fmnist_sweep.config.sweep_config import SweepConfig, images_of, shape_corners
from fmnist_sweep.config.toml_text import TomlTextError, read_toml, require_usable
from fmnist_sweep.core.engine_names import LOCAL, engine_problems
from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.core.space import FixedParameter, Parameter, SearchSpace
from fmnist_sweep.core.user_code import code_folders
from fmnist_sweep.data import open_data, scaled_images, source_problems, split_problems
from fmnist_sweep.data.sources import known_source
from fmnist_sweep.data.split import kind_problems
from fmnist_sweep.models import catalog

Say: TypeAlias = Callable[[str], None]
Beside: TypeAlias = Callable[[str], Sequence[str]]
"""Gives what else is wrong where the engine of this name runs the sweep."""

_MAX_EPOCHS: Final = 1_000_000
_MAX_GRID: Final = 1_000_000

_EXTRA_PACKAGES: Final = {"gp": ("torch", "scipy"), "cmaes": ("cmaes",), "qmc": ("scipy",)}


def load_config(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    beside: Beside = lambda _: (),
    say: Say = lambda _: None,
) -> SweepConfig:
    """Read a sweep file.

    Files and modules that it names are looked for beside it first, then in the current folder; those of a
    shipped sweep in the current folder alone.

    Args:
        path: A TOML file, or the name of a sweep that comes with the package; a file goes first.
        overrides: ``"section.key=value"`` settings that replace the file's, values as TOML writes them; a
            value that is no TOML is taken as text.
        beside: What else is wrong with what the user gave: told with the rest, before a model is discovered.
        say: Takes a line where data or a model of the user's own take more than a moment, or where a name may
            have meant another file.

    Raises:
        ConfigError: The file can't be read or has problems; all that can be found at once are listed.

    Example:
        >>> load_config(Path("dense"), ["budget.trials=5"]).file.budget.trials
        5
    """
    shipped = shipped_sweep(path)
    other = path.parent / f"{path.name}.toml"
    if shipped is not None and other.is_file():
        say(f"{path} is the sweep of that name that comes with fmnist-sweep; for your file give {other}")
    try:
        settings = read_toml(shipped or path)
    except TomlTextError as error:
        raise ConfigError(str(path), [str(error), *beside(LOCAL)]) from None
    problems = [p for override in overrides for p in apply_override(settings, override)]
    if problems:
        raise ConfigError(str(path), [*problems, *beside(_engine_of(settings))])
    folders = code_folders(None if shipped else path.parent)
    return parse_config(settings, where=str(path), beside=beside, folders=folders, say=say)


def parse_config(
    settings: Mapping[str, Any],
    *,
    where: str,
    beside: Beside = lambda _: (),
    folders: tuple[Path, ...] = (),
    say: Say = lambda _: None,
    epochs: Mapping[str, Any] | int | None = None,
) -> SweepConfig:
    """Return the settings of a sweep given as a mapping laid out like a sweep file.

    Args:
        settings: The mapping.
        where: What they come from.
        beside: As for `load_config`.
        folders: Where files and modules that they name are looked for; without any, in the current folder.
        say: As for `load_config`.
        epochs: An entry of ``space`` for a model that doesn't ask for a number of epochs itself.

    Raises:
        ConfigError: As for `load_config`; ``where`` opens its message.
    """
    try:
        require_usable(settings)
    except TomlTextError as error:
        # Also of what --set put together.
        raise ConfigError(where, [str(error), *beside(_engine_of(settings))]) from None
    model = settings.get("model")
    own = catalog.MODELS.get(model) if isinstance(model, str) else None
    settings = _with_epochs(settings, own, epochs)
    file, config, problems = _first_look(settings, own, folders)
    problems += beside(_engine_of(settings))
    if problems or file is None:
        raise ConfigError(where, problems)
    known = known_source(file.data)
    if config is not None and known is not None:
        return replace(config, folders=folders)
    # A user's own images decide what can be built.
    limit = file.budget.prepare_seconds
    data = None if known is not None else _opened(file, say=say, folders=folders)
    if own is None:
        shape, n_classes = images_of(file.data, data)
        own = catalog.model_space(
            file.model,
            input_shape=shape,
            n_classes=n_classes,
            scaled=scaled_images(data, file.scale),
            data=None if data is None or data.form == "images" else Path(data.directory),
            folders=folders,
            seconds=limit,
            say=say,
        )
        settings = _with_epochs(settings, own, epochs)
        file, _, problems = _validate(settings, own)
        problems += entry_problems(settings.get("space"), own)
        if problems or file is None:
            raise ConfigError(where, problems)
        metrics = own.metrics if data is not None and data.form == "call" else ()
        file = with_score(file, metrics)
    config, problems = _whole_problems(file, own, data, given=settings)
    if config is None or problems:
        raise ConfigError(where, problems)
    return replace(config, folders=folders)


def _with_epochs(
    settings: Mapping[str, Any], own: catalog.ModelSpace | None, epochs: Mapping[str, Any] | int | None
) -> Mapping[str, Any]:
    if epochs is None or own is None or "epochs" in own.space:
        return settings
    return {**settings, "space": {**settings.get("space", {}), "epochs": epochs}}


def _engine_of(settings: Mapping[str, Any]) -> str:
    """Return the name of the engine, whatever else of the settings is wrong."""
    section = settings.get("engine")
    name = section.get("name") if isinstance(section, Mapping) else None
    return name if isinstance(name, str) else LOCAL


def _opened(file: SweepFile, *, say: Say, folders: Sequence[Path]) -> DataRef:
    limit = file.budget.prepare_seconds
    return open_data(file.data, say=say, folders=folders, seconds=limit, reading=file.reading)


def _first_look(
    settings: Mapping[str, Any], own: catalog.ModelSpace | None, folders: Sequence[Path]
) -> tuple[SweepFile | None, SweepConfig | None, list[str]]:
    """Return what can be made of the settings, and all that is wrong, before anything is opened or built.

    Discovering a user's model takes seconds: what needs no discovery comes first.
    """
    model = settings.get("model")
    file, sound, problems = _validate(settings, own)
    if isinstance(model, str):
        problems += [f"model: {problem}" for problem in catalog.model_name_problems(model, folders)]
    if sound is not None:
        problems += sound.reading.problems(sound.data)
        problems += function_problems(sound.score.metric, folders)
        problems += returned_problems(sound, own)
    if isinstance(settings.get("data"), str):
        problems += [f"data: {problem}" for problem in source_problems(settings["data"], folders)]
    problems += _sampler_problems(settings)
    if sound is not None:
        on = sound.engine
        problems += engine_problems(on.name, on.address, on.checkpoint_storage, on.trials_per_gpu)
    given = settings.get("space")
    problems += narrowing_problems(given) if own is None else entry_problems(given, own)
    config = None
    if own is not None and sound is not None:
        # What of the file is right is looked at all the same: one message tells all that is wrong.
        config, more = _whole_problems(sound, own, None, given=settings)
        problems += more
    elif sound is not None:
        problems += tie_problems(sound) if "metric" in sound.score.model_fields_set else []
        problems += _n_epochs_problems(sound.space.get("epochs"))
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
    # What a user's own model can be built with only a build can tell.
    entries = {n: e for n, e in file.space.items() if own.n_parameters is not None or n == "batch_size"}
    unusable = [f"space.{problem}" for n, entry in entries.items() for problem in value_problems(n, entry)]
    # The model may declare them as well.
    epochs = _n_epochs_problems(file.space.get("epochs") if space is None else space.parameters.get("epochs"))
    problems += [*epochs, *unusable, *tie_problems(file)]
    if space is None or "epochs" not in space:
        return None, problems
    config = SweepConfig(file, own, space, data)
    if not epochs:
        problems += [*_epochs_problems(config), *pausing_problems(config)]
    if not unusable and (data is not None or known_source(file.data) is not None):
        problems += [*_fit_problems(config), *_size_problems(config), *_split_problems(config)]
    sampled = config.sampled_space
    endless = [n for n in sampled if sampled[n].values() is None and n not in wrong]
    if file.sampler.name == "grid" and endless:
        mend = f"grid needs a finite space; give {', '.join(endless)} a step or choices"
        problems.append(f"sampler.name: {mend}")
    elif file.sampler.name == "grid" and sampled.size > _MAX_GRID:
        mend = (
            f"grid tries all points, which are {sampled.size:,} here; narrow the space, or take random or tpe"
        )
        problems.append(f"sampler.name: {mend}")
    if not unusable and not epochs:
        problems += points_problems(sampled, file.sampler)
    return config, problems


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
        space = None if own is None else own.space
        entries = {name: narrowed(name, entry, space) for name, entry in given["space"].items()}
        if own is None and "epochs" in entries:
            # So that what can't be a number of epochs is told now, whatever the model declares.
            entries["epochs"] = typed_epochs(entries["epochs"])
        given["space"] = {n: e for n, e in entries.items() if own is not None or not narrows(e)}
    for section, default in (("sampler", "tpe"), ("pruner", "median")):
        if isinstance(given.get(section), dict):
            given[section] = {"name": default, **given[section]}
    if isinstance(given.get("sampler"), dict):
        given["sampler"] = AddedSection.as_given(given["sampler"])
    try:
        file = SweepFile.model_validate(given)
    except ValidationError as error:
        try:
            sound = SweepFile.model_validate(sound_part(given, error))
        except ValidationError:
            sound = None
        return None, sound, describe(error, SweepFile)
    return file, file, []


def _resolve_space(file: SweepFile, own: catalog.ModelSpace) -> tuple[SearchSpace | None, list[str]]:
    problems = []
    parameters: dict[str, Parameter] = {}
    for name in own.space:
        if name in file.space:
            parameters[name] = file.space[name]
        elif file.tune_new_entries and name not in own.only_named:
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
    missing = [
        p
        for p in _EXTRA_PACKAGES.get(name if isinstance(name, str) else "", ())
        if importlib.util.find_spec(p) is None
    ]
    if not missing:
        return []
    how = "pip install 'fmnist-sweep[gp]'" if name == "gp" else f"pip install {' '.join(missing)}"
    return [f"sampler.name: {name} needs {', '.join(missing)}, not installed here; {how}, or use tpe"]


def _n_epochs_problems(epochs: Parameter | None) -> list[str]:
    # A range of whole numbers may hold billions: its ends tell.
    ends = () if epochs is None else epochs.ends()
    listed = epochs is None or epochs.values() is not None
    if listed and all(type(v) is int and 1 <= v <= _MAX_EPOCHS for v in ends):
        return []
    allowed = f"whole numbers from 1 to {_MAX_EPOCHS:,}, as int, choice or a bare number"
    return [f"space.epochs: must be {allowed}"]


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
    shape, _ = config.images
    for point in shape_corners(config.space):
        problems = check(point, shape)
        if problems:
            return [f"space: {problem}" for problem in problems]
    return []


def _split_problems(config: SweepConfig) -> list[str]:
    problems = [f"training.{problem}" for problem in split_problems(config.data, config.split)]
    return [*kind_problems(config.data, config.split), *problems]


def _size_problems(config: SweepConfig) -> list[str]:
    limit = config.file.max_model_size
    # The builds that discovered a user's model need not have met its smallest.
    counts = None if limit is None or config.model_space.n_parameters is None else config.n_parameters_range()
    if limit is None or counts is None or counts[0] <= limit:
        return []
    smallest = f"the smallest model of the space has {counts[0]:,} weights, more than {limit:,}"
    return [f"max_model_size: {smallest}; raise it, or let the space reach lower"]
