"""The settings of a sweep, checked and resolved, and which of them decide its results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from fmnist_sweep.config.defaults import default_notes, default_point, no_default
from fmnist_sweep.config.points import all_points, n_points
from fmnist_sweep.config.schema import SweepFile
from fmnist_sweep.core.jobs import N_PROBE, DataRef, Hyperparameters, Scalar, SplitSpec
from fmnist_sweep.core.metrics import METRICS_BY_NAME
from fmnist_sweep.core.score import ScoreRule, exceeds
from fmnist_sweep.core.space import SearchSpace
from fmnist_sweep.core.user_code import is_ours
from fmnist_sweep.data.sources import known_source
from fmnist_sweep.models import catalog

DECIDES: Final = ("model", "data", "target", "scale", "space", "score", "training", "split")
"""Sections that decide a trial's result or its score: a study holds trials of one setting of them."""

CHOOSES: Final = "within_se"
"""The setting of ``[score]`` that decides which of the stored epochs is chosen, and nothing of a trial."""

_LATER_SWITCHES: Final = ("running_metrics", "exact_steps", "fit_epochs")
"""Settings of ``[training]`` that are off by default and that studies of earlier versions do not hold."""

_WITHOUT_WEIGHTS: Final = frozenset(
    {"learning_rate", "l2", "activation", "optimizer", "batch_size", "dropout", "epochs", "pooling"}
    | {"weight_decay", "label_smoothing", "schedule", "schedule_epochs", "flip", "shift", "conv_dropout"}
    | {"alternate_flips", "erase", "ema"}
)


@dataclass(frozen=True)
class SweepConfig:
    """All settings of a sweep, checked and resolved. Make one with `load_config`.

    Attributes:
        file: The sections of the sweep file, overrides applied.
        model_space: The model's own space and defaults.
        space: What is searched: the model's own space with the file's entries in place. Parameters that
            neither names for searching are fixed at the model's default.
        data: The data set, where it had to be opened to know its images; None where it is known without.
        folders: Where files and modules of the user's are looked for, in their order; without any, in the
            current folder. They decide nothing: data and models are known by their content.
    """

    file: SweepFile
    model_space: catalog.ModelSpace
    space: SearchSpace
    data: DataRef | None = None
    folders: tuple[Path, ...] = ()

    @property
    def uses_folders(self) -> bool:
        """Whether the model or the data are the user's own, and lie where the folders say."""
        return not is_ours(self.model_space.path) or known_source(self.file.data) is None

    @property
    def score_rule(self) -> ScoreRule:
        """The rule that scores a learning curve."""
        score = self.file.score
        return ScoreRule(**{**score.model_dump(), "within_se": score.errors_of_tie})

    @property
    def split(self) -> SplitSpec:
        """The split of the training images."""
        training = self.file.training
        # Rows that the data say to belong together stay so.
        by_group = self.data is not None and self.data.n_groups > 0
        kind = self.file.split.kind or ("groups" if by_group else None)
        return SplitSpec(training.n_val, training.split_seed, training.train_size, kind)

    @property
    def fits_in_one_call(self) -> bool:
        """Whether it is known that ``fit`` is called once, with all epochs: no trial has a checkpoint."""
        return (
            (self.data is not None and self.data.form == "call")
            # Of images, only a fit of one's own was called to learn what it logs.
            or bool(self.model_space.metrics)
            or self.file.score.metric not in METRICS_BY_NAME
        )

    @property
    def n_probe(self) -> int | None:
        """Training rows that measure the train scores, as `TrialJob` has it.

        Where it is known that ``fit`` is called once, as many as validate: what is measured there comes on
        top of what Keras's own ``fit`` does.
        """
        given = self.file.training.n_probe
        return N_PROBE if given is None and not self.fits_in_one_call else given

    def with_probe_of(self, stored: Mapping[str, Any]) -> SweepConfig:
        """Return the settings with the probe of a study that an earlier version made, unless one is named.

        Args:
            stored: The study's config.
        """
        kept = stored.get("training", {}).get("n_probe")
        if kept is None or self.n_probe is not None:
            return self
        training = self.file.training.model_copy(update={"n_probe": kept})
        return replace(self, file=self.file.model_copy(update={"training": training}))

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
        point = default_point(self.sampled_space, self.model_space)
        return point if self.sampled_space.contains(point) and not self.is_too_large(point) else None

    @property
    def notes(self) -> list[str]:
        """What a user should know of the model before the sweep, a line each, though nothing is wrong."""
        notes = list(self.model_space.notes)
        if self.file.sampler.enqueue_default and self.sampled_space.searched:
            notes += default_notes(self.sampled_space, self.model_space)
            if self.default_point is None and len(notes) == len(self.model_space.notes):
                notes.append(no_default("it has more weights than max_model_size"))
        return notes

    @property
    def images(self) -> tuple[tuple[int, ...], int]:
        """The shape of one image and the number of classes."""
        return images_of(self.file.data, self.data)

    def is_too_large(self, point: Hyperparameters) -> bool:
        """Return whether a point has more weights than the sweep's limit, as far as the catalog can count."""
        return exceeds(self.file.max_model_size, self.n_parameters(point))

    def n_parameters(self, point: Hyperparameters) -> int | None:
        """Return the number of weights at a point; None where only a build can count them."""
        count = self.model_space.n_parameters
        return None if count is None else count(point, *self.images)

    def n_parameters_range(self) -> tuple[int, int] | None:
        """Return the fewest and most weights over the corners of the space.

        A user's own model tells what the builds that discovered its space have shown.
        """
        count = self.model_space.n_parameters
        if count is None:
            return self.model_space.seen_n_parameters
        counts = [count(point, *self.images) for point in shape_corners(self.space)]
        return min(counts), max(counts)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings of trials as plain JSON values, laid out like a sweep file, the space resolved.

        Observers and the engine are left out: who is told, and where trials run, decides nothing, and an
        address may hold a password.
        """
        settings = self.file.model_dump(mode="json", exclude={"observers", "engine"})
        settings["space"] = {name: self.space[name].model_dump(mode="json") for name in self.space}
        settings["training"]["n_probe"] = self.n_probe
        if self.n_probe is None:
            del settings["training"]["n_probe"]
        for name in _LATER_SWITCHES:
            # Left out where it is off: the study's digest stays what it was before there was such a setting.
            if not settings["training"][name]:
                del settings["training"][name]
        settings["score"] = self.score_rule.to_dict()
        if not settings["keep_models"]:
            del settings["keep_models"]
        if settings["target"] is None:
            del settings["target"]
        if settings["scale"] == "auto":
            del settings["scale"]
        # Also where the data brought groups: an export splits by what the study says.
        settings["split"]["kind"] = self.split.kind
        settings["split"] = {name: value for name, value in settings["split"].items() if value is not None}
        if not settings["split"]:
            del settings["split"]
        return settings

    @property
    def digest(self) -> str:
        """SHA-256 over the settings that decide results: equal digests make comparable trials."""
        decides = {key: value for key, value in self.to_dict().items() if key in DECIDES}
        # It chooses among what is stored, and may be another at any time.
        decides["score"].pop(CHOOSES, None)
        if self.split.kind == "given":
            # Data that say what validates say it with or without that word.
            del decides["split"]
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def differences(stored: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the settings that decide results and differ between two configs, a line each."""
    before, after = dict(_flatten(stored)), dict(_flatten(now))
    return [
        f"{key}: the study has {before.get(key, 'nothing')!r}, now {after.get(key, 'nothing')!r}"
        for key in sorted({*before, *after})
        if key.split(".")[0] in DECIDES and key != f"score.{CHOOSES}" and before.get(key) != after.get(key)
    ]


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value


def images_of(source: str, data: DataRef | None) -> tuple[tuple[int, ...], int]:
    """Return the shape of one image and the number of classes.

    Args:
        source: The data set as a sweep file names it.
        data: The same, opened; None where it is known without.
    """
    known = known_source(source)
    if data is not None:
        return data.input_shape, data.n_classes
    if known is None:
        raise ValueError(f"data {source} must be opened before its images are known")
    return known.image_shape, known.n_classes


def shape_corners(space: SearchSpace) -> Iterator[dict[str, Scalar]]:
    """Yield the corners of the space over the parameters that decide the shapes of the weights."""
    parents = {parent for name in space if name not in _WITHOUT_WEIGHTS for parent in space[name].when}
    return space.without(*(_WITHOUT_WEIGHTS - parents)).corners()
