"""Write the script of a bundle: a training that needs TensorFlow and NumPy, and nothing of this project."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.data.sources import known_source
from fmnist_sweep.export.own_code import FOLDER
from fmnist_sweep.export.own_parts import OwnParts

PREDICT: Final = "predict.py"
"""The script that loads the model of a bundle and predicts."""

_LINE_LENGTH: Final = 110
_SCALES: Final = {
    "auto": "bytes divided by 255, floats as they are",
    "none": "as they are, bytes from 0 to 255",
    "255": "divided by 255",
}
_ALWAYS: Final = ("tensorflow", "keras", "numpy")
"""TensorFlow brings the other two."""

_OWN_IS: Final = "DATA is an .npz file with x_train, y_train and, if there are some, x_test, y_test."


def assets() -> Environment:
    """Return the templates of a bundle's texts; none of them is HTML."""
    return Environment(
        loader=PackageLoader("fmnist_sweep.export", "assets"),
        autoescape=False,  # noqa: S701 - Python and Markdown
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def scale_words(data: str, scale: str) -> str:
    """Return what the numbers of a model's images are.

    Args:
        data: Name of the data set.
        scale: What was done to its images.
    """
    known = known_source(data)
    return _SCALES[scale] if known is None or scale != "auto" else known.scale


def train_script(
    job: TrialJob, source: Mapping[str, Any], *, about: str, versions: Mapping[str, str]
) -> str | None:
    """Return a Python script that trains a job's model again.

    Args:
        job: The training.
        source: What its process handed over: see `fmnist_sweep.models.source.ModelSource`.
        about: What the script's docstring says of the model.
        versions: Of the libraries that trained it.

    Returns:
        None where the model is a user's own code, or can't be written as Python.
    """
    model = source["model"]
    if model is None:
        return None
    # Named by where they stand, written in the order in which they were made.
    names = {first: f"part_{i}" for i, first in enumerate(sorted(first for first, _ in model["made"]), 1)}
    parts = [{"name": names[first], "layers": model["layers"][first:last]} for first, last in model["made"]]
    known = known_source(job.data.name)
    return (
        assets()
        .get_template("train.py.j2")
        .render(
            about=textwrap.fill(_in_docstring(about), _LINE_LENGTH),
            fashion=known is not None,
            data_is=textwrap.fill(_OWN_IS if known is None else known.script_data, _LINE_LENGTH),
            versions=", ".join(f"{name} {versions[name]}" for name in ("tensorflow", "keras", "numpy")),
            seed=job.seed,
            epochs=job.epochs,
            batch_size=source["batch_size"],
            scaling=source.get("scale", job.data.scale),
            n_val=job.split.n_val,
            split_kind=job.split.kind or ("first" if job.split.seed is None else "stratified"),
            split_seed=0 if job.split.seed is None else job.split.seed,
            train_size=job.split.train_size,
            learning_rates=source["learning_rates"],
            definitions=[definition.rstrip() for definition in model["definitions"]],
            n_parameters=f"{source['n_parameters']:,}",
            input_shape=job.data.input_shape,
            parts=parts,
            flip_average=job.flip_average,
            stacked=", ".join(f"*{name}" for _, name in sorted(names.items())),
            begins_epochs=any("def begin_epoch(" in definition for definition in model["definitions"]),
            averages_weights="use_ema=True" in model["optimizer"],
            changes_images=bool(model["definitions"])
            or any(layer.startswith("keras.layers.Random") for layer in model["layers"]),
            optimizer=model["optimizer"],
            loss=model["loss"],
        )
    )


def predict_script(own: OwnParts, facts: Mapping[str, Any], *, title: str) -> str:
    """Return a Python script that loads a bundle's model with the code that goes with it, and predicts.

    Args:
        own: What the model needs of the user's own; its code is there.
        facts: What ``metrics.json`` holds.
        title: What the script's docstring calls the model.
    """
    libraries = () if own.code is None else own.code.libraries
    data = facts["data"]
    return (
        assets()
        .get_template("predict.py.j2")
        .render(
            title=_in_docstring(title),
            folder=FOLDER,
            needs=needed(libraries),
            places={
                json.dumps(key): [json.dumps(part) for part in place.split(":")]
                for key, place in own.places.items()
            },
            safe_mode=not own.has_lambdas,
            input_shape=f"(n, {', '.join(map(str, data['input_shape']))})",
            scale=scale_words(data["name"], data.get("scale", "auto")),
            scaling=data.get("scale", "auto"),
            n_dims=len(data["input_shape"]) + 1,
            class_names=json.dumps(list(data["class_names"])),
        )
    )


def predict_any_script(own: OwnParts, source: Mapping[str, Any], *, title: str) -> str:
    """Return the script of a bundle of a model of any task: it loads the model, and tries it on the example.

    Args:
        own: What the model needs of the user's own; its code is there, or there is none.
        source: What its training handed over: how its inputs are nested.
        title: What the script's docstring calls the model.
    """
    return (
        assets()
        .get_template("predict-any.py.j2")
        .render(
            title=_in_docstring(title),
            folder=FOLDER,
            needs=needed(() if own.code is None else own.code.libraries),
            places={
                json.dumps(key): [json.dumps(part) for part in place.split(":")]
                for key, place in own.places.items()
            },
            safe_mode=not own.has_lambdas,
            inputs=json.dumps(source["inputs"]),
        )
    )


def needed(libraries: Sequence[str]) -> str:
    """Return in words what the code of a bundle needs: TensorFlow and NumPy, and what else it imports.

    Example:
        >>> needed(["keras", "scipy"])
        'tensorflow, numpy and scipy'
    """
    names = ["tensorflow", "numpy", *(name for name in libraries if name not in _ALWAYS)]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _in_docstring(text: str) -> str:
    # A study may be called anything: no name can end the docstring.
    return text.replace("\\", "/").replace('"""', "'''")
