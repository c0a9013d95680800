"""Make the study of a sweep, or go on with it."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Mapping
from typing import Any, Final

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from fmnist_sweep.config.sweep_config import SweepConfig, differences
from fmnist_sweep.core.errors import StudyMismatchError
from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.core.versions import versions
from fmnist_sweep.storage.studies import load_study, require_writable, study_names

_DIGEST: Final = "config_digest"

_IMPORTABLE: Final = ("space.", "score.", "training.patience:")


def open_study(
    config: SweepConfig, data: DataRef, storage: BaseStorage, *, attributes: Mapping[str, Any] | None = None
) -> optuna.Study:
    """Create the study of a sweep, or go on with it.

    It has Optuna's default sampler and pruner, whatever made it: the search sets both from the config.

    Args:
        config: The settings.
        data: The data set.
        storage: Where the study is, or is made.
        attributes: User attributes that tell what kind of study it is; a sweep has none.

    Raises:
        StudyReadOnlyError: A study of that name came with the repository.
        StudyMismatchError: A study of that name exists and its model, data, space, score, training or kind
            differ; the message lists how. Nothing is changed.
    """
    name, kind = config.file.study, {} if attributes is None else attributes
    if name in study_names(storage):
        study = load_study(storage, name)
        require_writable(study)
    else:
        study = optuna.create_study(study_name=name, storage=storage, direction="maximize")
    if _DIGEST not in study.user_attrs and _is_untouched(study):
        _prepare(study, config, data, kind)
    _require_same(study, config, data, kind)
    study.set_user_attr("config", config.to_dict())
    return study


def _is_untouched(study: optuna.Study) -> bool:
    """Return whether a study could be one whose making was cut short."""
    waiting = all(trial.state is TrialState.WAITING for trial in study.get_trials(deepcopy=False))
    return waiting and study.direction is optuna.study.StudyDirection.MAXIMIZE


def _prepare(study: optuna.Study, config: SweepConfig, data: DataRef, kind: Mapping[str, Any]) -> None:
    """Write what a new study begins with, the digest last: without it, all of this is done again."""
    for key, value in {**_provenance(config, data), **kind}.items():
        study.set_user_attr(key, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(["score"])
    point = config.default_point
    if config.file.sampler.enqueue_default and point is not None:
        searched = {name: point[name] for name in config.sampled_space.searched if name in point}
        study.enqueue_trial(searched, skip_if_exists=True)
        study.set_user_attr("default_trial", 0)
    study.set_user_attr(_DIGEST, config.digest)


def _provenance(config: SweepConfig, data: DataRef) -> dict[str, Any]:
    return {
        "model_path": config.model_space.path,
        "config": config.to_dict(),
        "data_digest": data.digest,
        "data": {
            "name": data.name,
            "input_shape": list(data.input_shape),
            "class_names": list(data.class_names),
            "n_train": data.n_train,
        },
        "allowed_epochs": config.allowed_epochs,
        "versions": versions(),
    }


def _require_same(study: optuna.Study, config: SweepConfig, data: DataRef, kind: Mapping[str, Any]) -> None:
    name, attrs = config.file.study, study.user_attrs
    mend = "Choose another name with --study, or put the settings back."
    if _DIGEST not in attrs:
        raise StudyMismatchError(f"study {name!r} was not made by fmnist-sweep. {mend}")
    lines = [
        f"{key}: the study has {attrs.get(key, 'nothing')!r}, now {kind.get(key, 'nothing')!r}"
        for key in ("kind", "confirms")
        if attrs.get(key) != kind.get(key)
    ]
    if study.direction != optuna.study.StudyDirection.MAXIMIZE:
        lines.append(f"direction: the study has {study.direction.name.lower()}, now maximize")
    if attrs[_DIGEST] != config.digest:
        lines += differences(attrs["config"], config.to_dict()) or ["config: made by another version"]
    if attrs["data_digest"] != data.digest:
        lines.append(f"data: the study has content {attrs['data_digest'][:12]}, now {data.digest[:12]}")
    if lines:
        listed = "\n".join(f"  {line}" for line in lines)
        if all(line.startswith(_IMPORTABLE) for line in lines):
            mend += (
                f"\nOr bring its trials over to a new study: --study NEW --import-from {shlex.quote(name)}"
            )
        raise StudyMismatchError(f"study {name!r} exists with other settings:\n{listed}\n{mend}")
