"""Bring the trials of another study over: those that this study could have run, scored by its own rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import optuna
from optuna.trial import FrozenTrial

from fmnist_sweep.config.sweep_config import SweepConfig, differences
from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.errors import StudyMismatchError
from fmnist_sweep.core.jobs import DataRef, Scalar
from fmnist_sweep.core.score import exceeds
from fmnist_sweep.core.space import FloatParameter, IntParameter
from fmnist_sweep.search import samplers
from fmnist_sweep.search.checks import require_source
from fmnist_sweep.search.history import configuration_key, without_epochs
from fmnist_sweep.search.model_source import edited_parts, model_parts
from fmnist_sweep.storage.damage import require_whole
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial
from fmnist_sweep.storage.writing import taken_trial, write_default_trial

_LOOKED_AT_BY_TRIAL: Final = ("batch_size", "patience")
"""Settings of ``[training]`` that decide the curves of some trials and not of others."""


@dataclass
class Imported:
    """What came of an import: how many trials were taken, and how many left out, by reason."""

    n_taken: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        taken = f"{self.n_taken} trial{'' if self.n_taken == 1 else 's'} imported"
        reasons = ", ".join(f"{n} {reason}" for reason, n in self.left_out.most_common())
        return f"{taken}; left out: {reasons}" if reasons else taken


class _LeftOutError(Exception):
    """A trial can't be taken; the text is the reason."""


def require_importable(source: optuna.Study, config: SweepConfig, data: DataRef) -> None:
    """Raise `StudyMismatchError` where no trial of a study can be taken, with the settings that differ.

    The trials must have trained the same model on the same images, parted in the same way and from the same
    seed. Space, score, sampler, pruner and budget may be others.
    """
    name, stored = source.study_name, StoredStudy.of(source)
    require_whole(stored)
    require_source(stored, config.file.study)
    lines = differences(_of_every_curve(stored.config), _of_every_curve(config.to_dict()))
    if stored.data_digest != data.digest:
        lines.append(f"data: the study has content {str(stored.data_digest)[:12]}, now {data.digest[:12]}")
    parts = model_parts(config.model_space.path, config.folders)
    lines += [f"model: {edit}" for edit in edited_parts(stored, parts)]
    if lines:
        listed = "\n".join(f"  {line}" for line in lines)
        raise StudyMismatchError(
            f"study {name!r} can't be imported: its trials' curves would be others under\n{listed}"
        )


def _of_every_curve(settings: Mapping[str, Any]) -> dict[str, Any]:
    training = {k: v for k, v in settings["training"].items() if k not in _LOOKED_AT_BY_TRIAL}
    return {"model": settings["model"], "data": settings["data"], "training": training}


def import_trials(source: optuna.Study, study: optuna.Study, config: SweepConfig) -> Imported:
    """Add the trials of a study that another one could have run itself.

    Such a trial's configuration is a point of the new space, and its curve holds every epoch that the new
    study would have trained. Its scores are worked out anew from the curve, under the new rule and for the
    epochs that the new space allows. A pruned trial stays pruned, unless the new study would have trained no
    longer. Each imported trial names its origin. A configuration that
    is in the study already is left out, so importing twice adds nothing.

    Args:
        source: The study to read; `require_importable` must have accepted it.
        study: The study to fill, held with `fmnist_sweep.storage.lease.ownership.ownership`.
        config: The settings of ``study``.

    Returns:
        How many trials were taken and why others were not.
    """
    came_of_it = Imported()
    done = StoredStudy.of(study).in_state("COMPLETE", "PRUNED")
    here = {_point(trial, config) for trial in done}
    default, stored = _default(config), StoredStudy.of(source)
    for trial in stored.trials:
        try:
            made = _taken(trial, stored, config)
        except _LeftOutError as reason:
            came_of_it.left_out[str(reason)] += 1
            continue
        taken = StoredTrial.of(made)
        if _point(taken, config) in here:
            came_of_it.left_out["equal to one that is here"] += 1
            continue
        study.add_trial(made)
        if taken.configuration == default:
            # The one that waits to be run may never be: what is asked for may be here already.
            write_default_trial(study, len(study.get_trials(deepcopy=False)) - 1)
        here.add(_point(taken, config))
        came_of_it.n_taken += 1
    return came_of_it


def _default(config: SweepConfig) -> dict[str, Scalar] | None:
    point = config.default_point
    return None if point is None else without_epochs(point)


def _point(trial: StoredTrial, config: SweepConfig) -> tuple[str, int]:
    epochs = int(trial.params.get("epochs", config.epochs[-1]))
    return configuration_key(trial.configuration or {}, config.file.training.seed), epochs


def _usable(trial: StoredTrial, source: StoredStudy, config: SweepConfig) -> LearningCurve:
    """Return the curve of a trial that can be taken, as far as can be seen before its point is looked at."""
    if not trial.is_finished:
        raise _LeftOutError("not finished")
    if trial.state == "FAIL":
        raise _LeftOutError("failed")
    if trial.configuration is None or trial.curve is None:
        raise _LeftOutError("not run by fmnist-sweep")
    batch_size = source.config["training"]["batch_size"]
    if "batch_size" not in trial.configuration and batch_size != config.file.training.batch_size:
        raise _LeftOutError("trained with another batch size")
    if exceeds(config.file.max_model_size, trial.n_parameters):
        raise _LeftOutError("larger than max_model_size")
    return trial.curve


def translated(trial: StoredTrial, source: StoredStudy, config: SweepConfig) -> FrozenTrial | None:
    """Return another study's trial, scored by this study's rule; None if it can't be imported.

    Args:
        trial: The trial.
        source: Its study; `require_importable` must have accepted it.
        config: The settings. Seed and split are the trial's own: whether they fit, the caller knows.
    """
    try:
        return _taken(trial, source, config)
    except _LeftOutError:
        return None


def _taken(trial: StoredTrial, source: StoredStudy, config: SweepConfig) -> FrozenTrial:
    """Return a COMPLETE or PRUNED trial as this study would have it."""
    trained = _usable(trial, source, config)
    pruned = trial.state == "PRUNED"
    asked = int(trial.params.get("epochs", config.epochs[-1])) if pruned else len(trained)
    point = _point_of_space(trial.hyperparameters, config, n_epochs=asked)
    n_epochs = int(point.get("epochs", config.epochs[-1]))
    rule = config.score_rule
    allowed = config.allowed_epochs
    curve = LearningCurve(trained.epochs[:n_epochs])
    stop = rule.stop_epoch(curve, allowed=allowed, patience=config.file.training.patience)
    if stop is not None:
        curve = LearningCurve(curve.epochs[: stop + 1])
    whole = stop is not None or len(curve) == n_epochs
    if not whole and not pruned:
        raise _LeftOutError("trained for too few epochs")
    scored = rule.scored(curve, allowed=allowed)
    # What Optuna takes for a pruned trial's value is its last report.
    value = rule.score(curve.epochs[int(scored["epoch"]) if whole else -1])
    searched = [name for name in config.sampled_space.searched if name in point]
    return taken_trial(
        trial,
        source.name,
        value=value,
        is_whole=whole,
        params={name: point[name] for name in searched},
        distributions={name: samplers.distribution_of(config.sampled_space[name]) for name in searched},
        reports={scores.epoch: rule.score(scores) for scores in curve.epochs},
        scored=scored,
        hyperparameters=without_epochs(point),
        curve=curve,
        stopped_early=len(curve) < n_epochs and whole,
    )


def _point_of_space(given: Mapping[str, Scalar], config: SweepConfig, *, n_epochs: int) -> dict[str, Scalar]:
    """Return a configuration as a point of the sampled space.

    Where the number of epochs is sampled, it is the largest that the space allows and the trial has. What is
    off by default gives the same curve whether it is named or not: it is named where the space has it.
    """
    space, own = config.sampled_space, config.model_space
    off = {name: own.defaults[name] for name in own.optional}
    point = {name: value for name, value in given.items() if name in space or off.get(name) != value}
    for name in space:
        if name in off and name not in point and space.active(name, point):
            point[name] = off[name]
    if "epochs" in space and space.active("epochs", point):
        enough = [n for n in config.epochs if n <= n_epochs]
        if not enough:
            raise _LeftOutError("trained for too few epochs")
        point["epochs"] = enough[-1]
    if not space.contains(point):
        raise _LeftOutError("outside the space")
    for name, value in point.items():
        # What was a whole number in one space may be a real one in another: equal points must look equal.
        if isinstance(space[name], FloatParameter):
            point[name] = float(value)
        elif isinstance(space[name], IntParameter):
            point[name] = int(value)
    return point
