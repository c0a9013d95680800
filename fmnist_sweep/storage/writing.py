"""Everything that is written into studies and trials beside Optuna's own tables, a function for each.

What a trial is told must come before its state: a finished trial can't be written to.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.foreign import safe_line, safe_text
from fmnist_sweep.core.jobs import DataRef, Scalar, SplitSpec
from fmnist_sweep.storage import attributes as names
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial


class _Takes(Protocol):
    """A study or a trial: whatever takes attributes."""

    def set_user_attr(self, key: str, value: Any) -> None: ...


def _write(to: _Takes, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        to.set_user_attr(name, value)


# --- studies -----------------------------------------------------------------------------------------------


def write_beginning(
    study: optuna.Study,
    *,
    model_path: str,
    config: Mapping[str, Any],
    data: DataRef,
    allowed_epochs: Sequence[int] | None,
    versions: Mapping[str, str],
    kind: str | None = None,
    confirms: str | None = None,
    model_parts: Mapping[str, str] | None = None,
) -> None:
    """Write what a new study begins with, all but its digest.

    Args:
        study: The study.
        model_path: Import path of its HyperModel.
        config: Its settings.
        data: Its data set.
        allowed_epochs: The epochs, from 0, that its space allows to be scored.
        versions: Those of the packages that decide results.
        kind: What it is; None for a sweep.
        confirms: Name of the study that it confirms.
        model_parts: Digests of the parts of a user's own model's source.
    """
    links = {names.KIND: kind, names.CONFIRMS: confirms}
    _write(
        study,
        {
            names.MODEL_PATH: model_path,
            names.CONFIG: config,
            names.DATA_DIGEST: data.digest,
            names.DATA: {
                "name": data.name,
                "input_shape": list(data.input_shape),
                "class_names": list(data.class_names),
                "n_train": data.n_train,
                # Images are what studies held before there was anything else.
                **({} if data.form == "images" else {"form": data.form}),
                **({"validates": True} if data.validates else {}),
                **({"n_val": data.n_val} if data.n_val else {}),
            },
            names.ALLOWED_EPOCHS: allowed_epochs,
            names.VERSIONS: versions,
            **{name: value for name, value in links.items() if value is not None},
            **({names.MODEL_SOURCES: [dict(model_parts)]} if model_parts else {}),
        },
    )


def write_digest(study: optuna.Study, digest: str) -> None:
    """Write the digest of a study's settings: from then on the study is whole, see `StoredStudy.is_ours`."""
    _write(study, {names.CONFIG_DIGEST: digest})


def write_score_rule(study: optuna.Study, rule: Mapping[str, Any], *, versions: Mapping[str, str]) -> None:
    """Write by which rule an objective of the user's scores a study's trials, unless one stands there.

    Args:
        study: The study.
        rule: As `ScoreRule.to_dict` gives it.
        versions: Those of the packages that decide results.
    """
    if not StoredStudy.of(study).is_scored:
        _write(study, {names.VERSIONS: versions, names.SCORE_RULE: rule})


def write_config(study: optuna.Study, config: Mapping[str, Any]) -> None:
    """Write the settings of a study's next run."""
    _write(study, {names.CONFIG: config})


def write_folders(study: optuna.Study, folders: Sequence[Path]) -> None:
    """Write where the files and modules of a study's next run lie; see `StoredStudy.folders`."""
    # The current folder comes last, and is looked in without being named.
    folder = os.path.relpath(folders[0]) if folders[:-1] else "."
    if folder != StoredStudy.of(study).attributes.get(names.FOLDER, "."):
        _write(study, {names.FOLDER: folder})


def write_model_parts(study: optuna.Study, parts: Mapping[str, str]) -> None:
    """Write the source of a study's model, beside those that it had before."""
    _write(study, {names.MODEL_SOURCES: [*StoredStudy.of(study).model_sources, dict(parts)]})


def write_default_trial(study: optuna.Study, number: int) -> None:
    """Write which trial is that of the model's default configuration."""
    _write(study, {names.DEFAULT_TRIAL: number})


def write_owner(study: optuna.Study, owner: Mapping[str, Any] | None) -> None:
    """Write who runs a study; None for nobody."""
    _write(study, {names.OWNER: owner})


def write_machine(study: optuna.Study, machine: Mapping[str, Any]) -> None:
    """Write what a study ran on."""
    _write(study, {names.MACHINE: machine})


def write_n_repeats(study: optuna.Study, n_repeats: int) -> None:
    """Write how many repeats each candidate of a study, or each of its points, is to have."""
    _write(study, {names.N_REPEATS: n_repeats})


def write_candidates(study: optuna.Study, candidates: Sequence[Mapping[str, Any]]) -> None:
    """Write the candidates that a study repeats."""
    _write(study, {names.CANDIDATES: list(candidates)})


def write_decision(study: optuna.Study, rule: Mapping[str, Any]) -> None:
    """Write how the winner of a confirmation is decided."""
    _write(study, {names.DECISION: dict(rule)})


def write_readings(study: optuna.Study, readings: Sequence[Mapping[str, Any]]) -> None:
    """Write all readings of the test set for a study, oldest first; see `StoredStudy.readings`."""
    _write(study, {names.TEST_READINGS: list(readings)})


def write_export(study: optuna.Study, summary: Mapping[str, Any], bundle: Mapping[str, Any]) -> None:
    """Write what a study's last bundle says, and put it with the study's others.

    Args:
        study: The exported study, which is read anew.
        summary: What the bundle says.
        bundle: A few numbers of it; an entry with the same ``folder`` is replaced.
    """
    name = names.EXPORT_OF_FIT if summary.get("form") == "call" else names.EXPORT
    _write(study, {name: summary, names.BUNDLES: with_bundle(study, bundle)})


def with_bundle(study: optuna.Study, entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the entries of a study's bundles with another one, which replaces that of its folder."""
    return [*(one for one in StoredStudy.of(study).bundles if one["folder"] != entry["folder"]), entry]


def write_checkpoint_storage(study: optuna.Study, folder: str) -> None:
    """Note a folder in which nodes of a cluster keep a study's checkpoints, unless it is noted already."""
    known = StoredStudy.of(study).checkpoint_storage
    if folder not in known:
        _write(study, {names.CHECKPOINT_STORAGE: [*known, folder]})


def write_figures_of(study: optuna.Study, drawn_from: str) -> None:
    """Write what a study's figures were drawn from; see `StoredStudy.figures_of`."""
    _write(study, {names.FIGURES_OF: drawn_from})


def write_paper_test(study: optuna.Study, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write what the test set said of each seed of a final model of the original study."""
    _write(study, {names.PAPER_TEST: list(rows)})


# --- trials ------------------------------------------------------------------------------------------------


def write_run(trial: optuna.Trial, run: str) -> None:
    """Write which run a trial belongs to."""
    _write(trial, {names.RUN: run})


def repeat_attributes(repeat: int, candidate: str | None = None) -> dict[str, Any]:
    """Return what a trial stores of being a repeat, the repeat last: before it the trial counts for none."""
    return {**({} if candidate is None else {names.CANDIDATE: candidate}), names.REPEAT: repeat}


def write_draw(trial: optuna.Trial, attributes: Mapping[str, Any], *, split: SplitSpec | None = None) -> None:
    """Write what a trial is to train, before it is trained.

    Args:
        trial: The trial.
        attributes: As `repeat_attributes` gives them; none for a sweep's trial.
        split: Its split if that is not the study's own.
    """
    _write(trial, {**attributes, **({} if split is None else {names.SPLIT_SEED: split.seed})})


def write_n_reused_epochs(trial: optuna.Trial, n: int) -> None:
    """Write how many epochs a trial has at most from another one."""
    _write(trial, {names.N_REUSED_EPOCHS: n})


def write_n_retries(trial: optuna.Trial, n: int) -> None:
    """Write how often a trial's process has died."""
    _write(trial, {names.N_RETRIES: n})


def write_paused(trial: optuna.Trial, n_epochs: int | None) -> None:
    """Write after how many epochs a trial waits for its turn; None where it goes on."""
    _write(trial, {names.PAUSED: n_epochs})


def result_attributes(
    *,
    hyperparameters: Mapping[str, Scalar],
    curve: LearningCurve,
    n_parameters: int | None,
    seed: int | None,
    seconds: float,
    peak_memory_mb: float | None = None,
    n_reused_epochs: int | None = None,
    model_source: str = "",
    returned: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Return what is stored whatever becomes of a trial.

    Args:
        hyperparameters: Its whole configuration.
        curve: What it has come to, no epoch perhaps.
        n_parameters: Number of weights; None before its model was built.
        seed: Seed of the training; None where only an objective of the user's knows it.
        seconds: Wall-clock time since it was asked for.
        peak_memory_mb: Largest resident size of its process, if that is known.
        n_reused_epochs: Epochs that it did not train itself; None where it was to train all.
        model_source: As in `TrialJob`.
        returned: What the user's ``fit`` returned, by name.
    """
    attrs: dict[str, Any] = {
        names.HYPERPARAMETERS: dict(hyperparameters),
        **({} if seed is None else {names.SEED: seed}),
        names.SECONDS: round(seconds, 3),
        names.N_EPOCHS: len(curve),
        names.N_PARAMETERS: n_parameters,
    }
    if peak_memory_mb is not None:
        attrs[names.PEAK_MEMORY_MB] = round(peak_memory_mb, 1)
    if n_reused_epochs is not None:
        attrs[names.N_REUSED_EPOCHS] = n_reused_epochs
    if model_source:
        attrs[names.MODEL_SOURCE] = model_source
    if returned:
        attrs[names.RETURNED] = dict(returned)
    if len(curve):
        attrs[names.CURVE] = curve.to_attribute()
    return attrs


def scored_attributes(
    scored: Mapping[str, float], result: Mapping[str, Any], *, stopped_early: bool | None = None
) -> dict[str, Any]:
    """Return what is stored of a trial that was scored.

    Args:
        scored: As `ScoreRule.scored` gives it.
        result: As `result_attributes` gives it.
        stopped_early: Whether patience ended it; None says nothing of it.
    """
    return {**scored, **result, **({} if stopped_early is None else {names.STOPPED_EARLY: stopped_early})}


def failed_attributes(result: Mapping[str, Any], *, reason: str, detail: str) -> dict[str, Any]:
    """Return what is stored of a trial that failed; ``result`` as `result_attributes` gives it."""
    return {**result, names.FAIL_REASON: safe_line(reason), names.FAIL_DETAIL: safe_text(detail)}


def write_result(trial: optuna.Trial, attributes: Mapping[str, Any]) -> None:
    """Write what became of a trial, before its state; see `scored_attributes` and `failed_attributes`."""
    _write(trial, attributes)


_TAKEN_ALONG: Final = (
    names.SEED,
    names.SECONDS,
    names.N_PARAMETERS,
    names.PEAK_MEMORY_MB,
    names.MODEL_SOURCE,
    names.RETURNED,
)


def taken_trial(
    trial: StoredTrial,
    study: str,
    *,
    value: float,
    is_whole: bool,
    params: dict[str, Any],
    distributions: dict[str, BaseDistribution],
    reports: Mapping[int, float],
    scored: Mapping[str, float],
    hyperparameters: Mapping[str, Scalar],
    curve: LearningCurve,
    stopped_early: bool,
) -> FrozenTrial:
    """Return a trial of another study as this one is to hold it.

    Args:
        trial: The other study's trial.
        study: Name of that study.
        value: Its value by this study's rule.
        is_whole: Whether this study would have trained it no longer: it is COMPLETE then, and PRUNED if not.
        params: What this study would have drawn.
        distributions: What from.
        reports: What this study would have had reported, by epoch.
        scored: As `ScoreRule.scored` gives it, by this study's rule.
        hyperparameters: Its whole configuration.
        curve: As many epochs as this study would have trained.
        stopped_early: Whether this study's patience would have ended it.
    """
    made = create_trial(
        state=TrialState.COMPLETE if is_whole else TrialState.PRUNED,
        value=value,
        params=params,
        distributions=distributions,
        intermediate_values=dict(reports),
        user_attrs={
            **scored,
            **{name: trial.attributes[name] for name in _TAKEN_ALONG if name in trial.attributes},
            names.HYPERPARAMETERS: dict(hyperparameters),
            names.CURVE: curve.to_attribute(),
            names.N_EPOCHS: len(curve),
            # They cost this study nothing: its budget of epochs counts what was trained for it.
            names.N_REUSED_EPOCHS: len(curve),
            names.STOPPED_EARLY: stopped_early,
            names.IMPORTED_FROM: {"study": study, "trial": trial.number},
        },
    )
    made.datetime_start, made.datetime_complete = trial.datetime_start, trial.datetime_complete
    return made


def enqueue_again(study: optuna.Study, trial: StoredTrial) -> int:
    """Let a study draw a trial's point once more, before anything else, and return the new trial's number."""
    study.enqueue_trial(dict(trial.params), user_attrs={names.RETRY_OF: trial.number})
    return len(study.get_trials(deepcopy=False)) - 1


def write_repeat(trial: FrozenTrial, repeat: int, source: StoredTrial) -> None:
    """Write which repeat a trial is that was taken from another study, and the split that it had there."""
    split = {names.SPLIT_SEED: source.split_seed} if source.has_own_split else {}
    _write(trial, {**split, **repeat_attributes(repeat)})
