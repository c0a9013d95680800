"""Which models can be searched, and the space that each declares. No Keras here.

The two built-in models read their hyperparameters from the declarations in `fmnist_sweep.models.spaces`, so
what ``validate`` prints and what ``build`` asks for can't drift apart. A user's own HyperModel is asked in a
child process.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from fmnist_sweep.core.errors import ConfigError, did_you_mean
from fmnist_sweep.core.jobs import Hyperparameters, Scalar
from fmnist_sweep.core.programs import PREPARE_S, out_of_time, run_program
from fmnist_sweep.core.registry import Registry
from fmnist_sweep.core.space import Parameter, SearchSpace
from fmnist_sweep.core.user_code import code_folders, find_module, no_module, shadow_problem
from fmnist_sweep.core.wording import shown
from fmnist_sweep.models.spaces import (
    CONV_DEFAULTS,
    CONV_OPTIONAL,
    CONV_SPACE,
    DENSE_DEFAULTS,
    DENSE_SPACE,
    ONLY_NAMED,
    SHARED_OPTIONAL,
    conv_n_parameters,
    conv_problems,
    dense_n_parameters,
)

_DISCOVER: Final = "fmnist_sweep.models.discover"


@dataclass(frozen=True)
class ModelSpace:
    """What a model lets one search.

    Attributes:
        path: Import path of the HyperModel, ``"package.module:Class"``.
        space: Its own search space.
        defaults: Its default configuration, the one that a plain KerasTuner run tries first.
        n_parameters: Number of weights at a point, for images of a shape and a number of classes; None
            where only a build can tell.
        problems: Why a point can't be built, a line each, empty where it can; None where only a build can
            tell.
        seen_n_parameters: Fewest and most weights among the builds that discovered the space.
        optional: Parameters that are off by default. A sweep that searches only what it names leaves them
            out altogether, so that its space, and with it the study's digest, stays what it was before the
            model learned them.
        only_named: Those of them that are searched only where a sweep file names them, also where it searches
            the model's whole space.
        notes: What else the builds have shown that a user should know, a line each.
        metrics: What the model measures, by the names that Keras logs; empty where that is known without.
        sometimes: Parameters that exist under conditions which no list of values can say: they are drawn for
            every trial, and left out of the record of those whose model does not ask for them.
    """

    path: str
    space: SearchSpace
    defaults: Mapping[str, Scalar]
    n_parameters: Callable[[Hyperparameters, tuple[int, ...], int], int] | None = None
    problems: Callable[[Hyperparameters, tuple[int, ...]], list[str]] | None = None
    seen_n_parameters: tuple[int, int] | None = None
    optional: frozenset[str] = frozenset()
    only_named: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    sometimes: tuple[str, ...] = ()


MODELS: Final[Mapping[str, ModelSpace]] = MappingProxyType(
    {
        "dense": ModelSpace(
            "fmnist_sweep.models:DenseModel",
            DENSE_SPACE,
            DENSE_DEFAULTS,
            dense_n_parameters,
            optional=frozenset(SHARED_OPTIONAL) | frozenset(ONLY_NAMED),
            only_named=frozenset(ONLY_NAMED),
        ),
        "cnn": ModelSpace(
            "fmnist_sweep.models:ConvModel",
            CONV_SPACE,
            CONV_DEFAULTS,
            conv_n_parameters,
            conv_problems,
            optional=frozenset(SHARED_OPTIONAL) | frozenset(CONV_OPTIONAL) | frozenset(ONLY_NAMED),
            only_named=frozenset(ONLY_NAMED),
        ),
    }
)

HYPERMODELS: Final = Registry(
    "model", "fmnist_sweep.models", {name: known.path for name, known in MODELS.items()}
)
"""Each name stands for a HyperModel, as a sweep file can name one by its import path."""


def model_name_problems(model: str, folders: Sequence[Path] = ()) -> list[str]:
    """Return what is wrong with a model's name as a sweep file gives it, without importing anything.

    Args:
        model: The name.
        folders: As for `model_space`.
    """
    if model in MODELS:
        return []
    module, _, name = model.partition(":")
    if name and all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        shadow = shadow_problem(model, folders or code_folders())
        return [] if shadow is None else [shadow]
    names = HYPERMODELS.names()
    if model in names:
        return []
    hint = did_you_mean(model, names)
    known = ", ".join(names)
    return [f"unknown model {shown(model)}{hint} (allowed: {known}, or package.module:HyperModelClass)"]


def model_space(
    model: str,
    *,
    input_shape: tuple[int, ...] = (28, 28, 1),
    n_classes: int = 10,
    scaled: str | None = None,
    data: Path | None = None,
    folders: Sequence[Path] = (),
    seconds: float = PREPARE_S,
    say: Callable[[str], None] = lambda _: None,
) -> ModelSpace:
    """Return the space of a built-in model, or discover that of a user's own HyperModel.

    A user's HyperModel is imported and built in a child process, so TensorFlow is never loaded here. Their
    import path runs their own code.

    Args:
        model: A built-in name, that of an installed package's entry point, or
            ``"package.module:HyperModelClass"``.
        input_shape: Shape of one image, for a HyperModel that wants to know it.
        n_classes: Number of classes, likewise.
        scaled: Why the images lie in 0..1, ``"bytes"`` or ``"floats"``; None where they don't.
        data: Folder of what the fit takes, where that is more than images with class numbers.
        folders: Where modules of the user's are looked for; without any, in the current folder.
        seconds: How long the builds may take.
        say: Takes a line where they take more than a moment.

    Raises:
        ConfigError: There is no such model, it can't be imported or built, or that takes longer than it may;
            the message tells where.
    """
    if model in MODELS:
        return MODELS[model]
    problems = model_name_problems(model, folders)
    if problems:
        raise ConfigError("model", problems)
    model = model if ":" in model else HYPERMODELS.path(model)
    for info in MODELS.values():
        if info.path == model:
            return info
    module, looked_in = model.partition(":")[0].partition(".")[0], folders or code_folders()
    if find_module(module, looked_in) is None:
        # Known without the seconds that a process with TensorFlow takes to start.
        raise ConfigError(f"model {model}", [no_module(module, looked_in)])
    more = [] if scaled is None else ["--scaled", scaled]
    found = _asked(
        model,
        more,
        input_shape=input_shape,
        n_classes=n_classes,
        data=data,
        folders=folders,
        seconds=seconds,
        say=say,
    )
    try:
        parameters = TypeAdapter(dict[str, Parameter]).validate_python(found["space"])
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'][::2]))}: {e['msg']}" for e in error.errors(include_url=False)]
        raise ConfigError(f"model {model}", lines) from None
    low, high = found["n_parameters"]
    return ModelSpace(
        model,
        SearchSpace(parameters),
        found["defaults"],
        seen_n_parameters=(low, high),
        notes=tuple(found["notes"]),
        metrics=tuple(found["metrics"]),
        sometimes=tuple(found["sometimes"]),
    )


def tried_builds(
    model: str,
    points: Sequence[Hyperparameters],
    *,
    input_shape: tuple[int, ...],
    n_classes: int,
    data: Path | None,
    folders: Sequence[Path],
    seconds: float,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Build a user's own model at some points; see `fmnist_sweep.models.building_sample.tried_builds`.

    Args:
        model: Its import path.
        points: Complete points of the space.
        input_shape: As for `model_space`.
        n_classes: As for `model_space`.
        data: As for `model_space`.
        folders: As for `model_space`.
        seconds: As for `model_space`.
        say: As for `model_space`.

    Raises:
        ConfigError: As for `model_space`.
    """
    with tempfile.TemporaryDirectory(prefix="fmnist-sweep-") as work:
        file = Path(work, "points.json")
        file.write_text(json.dumps([dict(point) for point in points]), encoding="utf-8")
        return _asked(
            model,
            ["--points", str(file)],
            input_shape=input_shape,
            n_classes=n_classes,
            data=data,
            folders=folders,
            seconds=seconds,
            say=say,
        )


def _asked(
    model: str,
    more: Sequence[str],
    *,
    input_shape: tuple[int, ...],
    n_classes: int,
    data: Path | None,
    folders: Sequence[Path],
    seconds: float,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Return what the program that builds a user's model answers."""
    shape = ["--input-shape", *map(str, input_shape), "--n-classes", str(n_classes), *more]
    shape += [] if data is None else ["--data", str(data)]
    where = ["--folders", *map(str, folders)] if folders else []
    what = f"finding the space of {model}"
    done = run_program(_DISCOVER, [model, *shape, *where], seconds=seconds, what=what, say=say)
    if done.code is None:
        raise ConfigError(f"model {model}", [out_of_time("its space was not found", done, seconds)])
    if done.code != 0 or not done.stdout.strip():
        said = done.stderr.strip().splitlines()
        ended = f"the process that builds it ended with exit code {done.code} before it was done"
        raise ConfigError(f"model {model}", said[-20:] or [ended])
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
