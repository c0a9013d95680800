"""Make the study of a sweep, or go on with it."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from fmnist_sweep.config.sweep_config import CHOOSES, SweepConfig, differences
from fmnist_sweep.core.errors import StudyMismatchError
from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.core.versions import versions
from fmnist_sweep.search.model_source import ACCEPT, edited_parts, model_parts
from fmnist_sweep.storage.damage import require_whole
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.studies import load_study, require_writable, study_names
from fmnist_sweep.storage.writing import (
    write_beginning,
    write_config,
    write_default_trial,
    write_digest,
    write_folders,
    write_model_parts,
)

_EARLIER_DEFAULT: Final = "score.penalty: the study has 1.0, now 0.0"
"""What meets a study of an earlier version whose sweep file names no penalty."""

_IMPORTABLE: Final = ("space.", "score.", "training.patience:")


def open_study(
    config: SweepConfig,
    data: DataRef,
    storage: BaseStorage,
    *,
    kind: str | None = None,
    confirms: str | None = None,
    accept_edited_model: bool = False,
) -> optuna.Study:
    """Create the study of a sweep, or go on with it.

    It has Optuna's default sampler and pruner, whatever made it: the search sets both from the config.

    Args:
        config: The settings.
        data: The data set.
        storage: Where the study is, or is made.
        kind: What kind of study it is; None for a sweep.
        confirms: Name of the study that it confirms.
        accept_edited_model: Go on though the source of the model was edited since; its trials are told apart
            from then on, see `StoredStudy.is_edited`.

    Raises:
        StudyReadOnlyError: A study of that name came with the repository.
        StudyDamagedError: A study of that name holds what this program can't have written.
        StudyMismatchError: A study of that name exists and its model, data, space, score, training or kind
            differ; the message lists how. Nothing is changed.
    """
    name = config.file.study
    parts = model_parts(config.model_space.path, config.folders)
    if name in study_names(storage):
        study = load_study(storage, name)
        require_whole(StoredStudy.of(study))
        require_writable(study)
    else:
        study = optuna.create_study(study_name=name, storage=storage, direction="maximize")
    if not StoredStudy.of(study).is_ours and _is_untouched(study):
        _prepare(study, config, data, kind=kind, confirms=confirms, parts=parts)
    stored = StoredStudy.of(study)
    # Where nothing was measured so far, as after a mistake that every trial met, nothing can be mixed up.
    accept = accept_edited_model or not stored.in_state("COMPLETE", "PRUNED")
    edits = [] if accept else edited_parts(stored, parts)
    _require_same(stored, config, data, kind=kind, confirms=confirms, edits=edits)
    if parts and (not stored.model_sources or edited_parts(stored, parts)):
        # Of a study that an earlier version made nobody knows more than what its model is now.
        write_model_parts(study, parts)
    write_config(study, _as_chosen(config, stored))
    if config.uses_folders:
        write_folders(study, config.folders)
    return study


def _as_chosen(config: SweepConfig, stored: StoredStudy) -> dict[str, Any]:
    """Return the settings of a run; how a study chooses among its trials it keeps, unless it is said anew."""
    settings = config.to_dict()
    if config.file.score.within_se is None and stored.config:
        settings["score"].pop(CHOOSES, None)
        before = stored.config.get("score", {}).get(CHOOSES)
        settings["score"] |= {} if before is None else {CHOOSES: before}
    return settings


def _is_untouched(study: optuna.Study) -> bool:
    """Return whether a study could be one whose making was cut short."""
    waiting = all(trial.state is TrialState.WAITING for trial in study.get_trials(deepcopy=False))
    return waiting and study.direction is optuna.study.StudyDirection.MAXIMIZE


def _prepare(
    study: optuna.Study,
    config: SweepConfig,
    data: DataRef,
    *,
    kind: str | None,
    confirms: str | None,
    parts: Mapping[str, str],
) -> None:
    """Write what a new study begins with, the digest last: without it, all of this is done again."""
    write_beginning(
        study,
        model_path=config.model_space.path,
        config=config.to_dict(),
        data=data,
        allowed_epochs=config.allowed_epochs,
        versions=versions(),
        kind=kind,
        confirms=confirms,
        model_parts=parts,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(["score"])
    point = config.default_point
    if config.file.sampler.enqueue_default and point is not None:
        searched = {name: point[name] for name in config.sampled_space.searched if name in point}
        study.enqueue_trial(searched, skip_if_exists=True)
        write_default_trial(study, 0)
    write_digest(study, config.digest)


def _require_same(
    study: StoredStudy,
    config: SweepConfig,
    data: DataRef,
    *,
    kind: str | None,
    confirms: str | None,
    edits: Sequence[str],
) -> None:
    name = config.file.study
    mend = "Choose another name with --study, or put the settings back."
    if not study.is_ours:
        raise StudyMismatchError(f"study {name!r} was not made by fmnist-sweep. {mend}")
    lines = [
        f"{what}: the study has {before or 'nothing'!r}, now {now or 'nothing'!r}"
        for what, before, now in (("kind", study.kind, kind), ("confirms", study.confirms, confirms))
        if before != now
    ]
    if study.direction != "maximize":
        lines.append(f"direction: the study has {study.direction}, now maximize")
    if study.config_digest != config.digest:
        lines += differences(study.config, config.to_dict()) or ["config: made by another version"]
    if study.data_digest != data.digest:
        lines.append(f"data: the study has content {str(study.data_digest)[:12]}, now {data.digest[:12]}")
    if edits:
        lines += [f"model: {edit}" for edit in edits]
        mend += f"\nIf the source alone differs, the run goes on with {ACCEPT}, which marks its trials"
        mend += "; with --retry-failed it also tries again what failed." if study.in_state("FAIL") else "."
    if _EARLIER_DEFAULT in lines:
        mend += "\n1.0 was the default before: with --set score.penalty=1, or in the sweep file, it goes on."
    if lines:
        listed = "\n".join(f"  {line}" for line in lines)
        if all(line.startswith(_IMPORTABLE) for line in lines):
            mend += (
                f"\nOr bring its trials over to a new study: --study NEW --import-from {shlex.quote(name)}"
            )
        raise StudyMismatchError(f"study {name!r} exists with other settings:\n{listed}\n{mend}")
