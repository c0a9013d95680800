"""Write the model card of a bundle: what it is, how it was chosen, how it performs, where it fails."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from typing import Any, Final

import fmnist_sweep
from fmnist_sweep.analysis.measures import ConfusedPair
from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.core.wording import show_interval, show_value
from fmnist_sweep.data.sources import known_source
from fmnist_sweep.export.own_code import FOLDER
from fmnist_sweep.export.own_parts import OwnParts
from fmnist_sweep.export.script import assets, needed, scale_words
from fmnist_sweep.reports.exported_call import beside_words
from fmnist_sweep.reports.pictures import PART_NAMES

UNCONFIRMED: Final = (
    "It was picked by the validation images that it is measured on here, and not retrained on other splits "
    "against its rivals: part of its lead may be luck."
)
_BUILT_IN: Final = "fmnist_sweep.models:"


def model_card(
    facts: Mapping[str, Any],
    *,
    scoring: str,
    pairs: Sequence[ConfusedPair],
    has_script: bool,
    why_no_script: str,
    has_worst: bool,
    own: OwnParts,
) -> str:
    """Return README.md of a bundle.

    Args:
        facts: What ``metrics.json`` holds.
        scoring: The study's score rule in words.
        pairs: The most confused pairs of the test images; of the validation images where there are none.
        has_script: Whether the bundle has a ``train.py``.
        why_no_script: Why not, if so.
        has_worst: Whether it has a picture of misclassified test images.
        own: What the model needs of the user's own, and what of it the bundle carries.
    """
    model, mean, data = facts["model"], facts["mean"], facts["data"]
    parts = [part for part in PART_NAMES if part in model]
    known = known_source(data["name"])
    tested = "test" in parts
    split = data["split"]
    readings = facts["n_test_readings"]
    return (
        assets()
        .get_template("README.md.j2")
        .render(
            name=facts["name"],
            fashion=known is not None,
            study=facts["study"],
            model={"dense": "dense net", "cnn": "convolutional net"}.get(facts["kind"], f"`{facts['kind']}`"),
            data_name=data["name"] if known is None else known.title,
            n_parameters=f"{facts['n_parameters']:,}",
            n_train=f"{model['train']['n']:,}",
            epochs=facts["epochs"],
            when=facts["written"][:16].replace("T", " "),
            version=fmnist_sweep.__version__,
            confirmed=facts["confirmed"],
            unconfirmed=UNCONFIRMED,
            repeats=len(facts["seeds"]),
            fast=fast_words(facts, n_train=f"{model['train']['n']:,} images"),
            as_swept=is_fast(facts) and has_script,
            seed=facts["seeds"][0],
            mean_rows=[
                {
                    "part": PART_NAMES[part],
                    "accuracy": show_interval(mean[f"{part}_accuracy"], UNITS["accuracy"]),
                    "cross_entropy": show_interval(mean[f"{part}_cross_entropy"], UNITS["cross_entropy"]),
                }
                for part in parts
            ],
            model_rows=[
                {
                    "part": PART_NAMES[part],
                    "n": f"{model[part]['n']:,}",
                    "accuracy": _with_interval(model[part], "accuracy"),
                    "cross_entropy": _with_interval(model[part], "cross_entropy"),
                }
                for part in parts
            ],
            mean_gap_val=show_interval(mean["gap_to_val"], UNITS["accuracy"], gap=True),
            mean_gap_test=show_interval(mean["gap_to_test"], UNITS["accuracy"], gap=True) if tested else "",
            gap_val=UNITS["accuracy"].show(model["gap_to_val"], gap=True),
            gap_test=UNITS["accuracy"].show(model["gap_to_test"], gap=True) if tested else "",
            tested=tested,
            n_readings=readings,
            read_times="once" if readings == 1 else f"{readings} times",
            val_note=known.val_note
            if known is not None and facts["model_path"].startswith(_BUILT_IN)
            else "",
            judged="test" if tested else "validation",
            pairs=pairs,
            has_worst=has_worst,
            words=facts["chosen"],
            headline=facts.get("headline", ""),
            flip_average=facts.get("flip_average", False),
            beside=" ".join(beside_words(facts)),
            scoring=scoring.removeprefix("score = "),
            hyperparameters=[(name, show_value(value)) for name, value in facts["hyperparameters"].items()],
            split=_split(split, model),
            digest=data["digest"],
            versions=", ".join(f"{name} {version}" for name, version in facts["versions"].items()),
            input_shape=f"(n, {', '.join(map(str, data['input_shape']))})",
            scale=scale_words(data["name"], data.get("scale", "auto")),
            class_names=", ".join(data["class_names"]),
            n_classes=len(data["class_names"]),
            has_script=has_script,
            why_no_script=why_no_script,
            own_parts=_own_parts(own),
            own_imports=sorted({place.partition(":")[0] for place in own.places.values()}),
            custom_objects=", ".join(
                f"{json.dumps(key)}: {place.replace(':', '.')}" for key, place in own.places.items()
            ),
            has_own_code=own.code is not None,
            runs_alone=own.runs_alone,
            own_folder=FOLDER,
            needs=needed(() if own.code is None else own.code.libraries),
            why_no_code=own.why_not,
            has_lambdas=own.has_lambdas,
            python=facts["versions"].get("python", platform.python_version()),
        )
    )


def is_fast(facts: Mapping[str, Any]) -> bool:
    """Return whether a bundle was written from kept weights, without training."""
    return bool(facts.get("fast"))


def fast_words(facts: Mapping[str, Any], *, n_train: str = "") -> str:
    """Return what sets the model of a fast bundle apart from one that was trained to be handed out.

    Args:
        facts: What ``metrics.json`` holds.
        n_train: How much it was trained on; empty where that is not known.

    Returns:
        Sentences; empty for any other bundle.
    """
    if not is_fast(facts):
        return ""
    part = f"the training part alone{f' ({n_train})' if n_train else ''}"
    return (
        f"`model.keras` has the weights that trial {facts['trial']} of the sweep had after epoch "
        f"{facts['epochs']} (seed {facts['seeds'][0]}), as they were kept. It was trained on {part}, not on "
        "all data. For this bundle nothing was trained: this training is not confirmed, no other seed was "
        "tried, and the test set was not read. The validation numbers are optimistic: the sweep chose by "
        "them. `fmnist-sweep export` without `--fast` trains the configuration on fresh seeds and tests it."
    )


def _own_parts(own: OwnParts) -> str:
    """Return a model's own classes and functions, each with where it is defined."""
    told = []
    for key, place in own.places.items():
        name = place.partition(":")[2]
        stands_for = "" if key == name else f", as `{key}`"
        told.append(f"`{name}` (of `{place.partition(':')[0]}`{stands_for})")
    return ", ".join(told)


def _with_interval(scores: Mapping[str, Any], metric: str) -> str:
    return show_interval({"mean": scores[metric], "interval_95": scores[f"{metric}_95"]}, UNITS[metric])


def _split(split: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    kind = split.get("kind") or ("first" if split["seed"] is None else "stratified")
    if kind in ("first", "last"):
        how = f"the {kind} {split['n_val']:,} images of the training file validate"
    else:
        drawn = "by class" if kind == "stratified" else "at random"
        how = f"{split['n_val']:,} validation images drawn {drawn} with seed {split['seed'] or 0}"
    kept = (
        "the others train" if split["train_size"] is None else f"{model['train']['n']:,} of the others train"
    )
    return f"{how}, {kept}"
