"""Hand a trial's model out as the search has kept it: nothing is trained, and no test part is read."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import optuna

from fmnist_sweep import data as data_sets
from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.core.files import safe_name
from fmnist_sweep.core.jobs import DataKey, DataRef, TrialJob
from fmnist_sweep.core.kept import NotKeptError
from fmnist_sweep.core.places import Places
from fmnist_sweep.core.programs import PREPARE_S
from fmnist_sweep.engines.base import KERAS_TRAINER, OpenEngine
from fmnist_sweep.engines.opening import open_engine
from fmnist_sweep.export.bundle import bundle_facts, check_place, write_bundle
from fmnist_sweep.export.choice import chosen
from fmnist_sweep.export.finals import FinalPlan
from fmnist_sweep.export.kept import find_kept, restore, trial_job, weights_folder
from fmnist_sweep.export.own_parts import MakeEngine, own_parts
from fmnist_sweep.export.plan import ExportPlan, require_exportable
from fmnist_sweep.export.run import bundle_filler, require_fitting_data
from fmnist_sweep.search.model_source import require_same_model
from fmnist_sweep.storage.address import file_mode
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial


@dataclass(frozen=True, kw_only=True)
class KeptFinal(FinalPlan):
    """A trial's own training in the place of final ones.

    Attributes:
        trial: The trial.
        weights: The file of its weights.
    """

    trial: StoredTrial
    weights: Path

    @property
    def seeds(self) -> list[int]:
        """The trial's."""
        return [int(self._training["seed"]) if self.trial.seed is None else self.trial.seed]

    @property
    def key(self) -> str:
        """A short digest of what decides the bundle, never that of final trainings."""
        return f"fast-{self.trial.number}-{super().key}"

    def jobs(self, data: DataKey) -> list[TrialJob]:
        """Return the trial's training as a job that hands the model out."""
        job = trial_job(self._swept, self.trial, self.choice.epochs, data)
        return [replace(job, deliver_to=self.deliveries[0].folder.name, hand_out=True)]


def plan_fast_export(
    study: optuna.Study,
    *,
    output: Path,
    storage: str,
    trial: int | None = None,
    force: bool = False,
) -> ExportPlan:
    """Choose what to export, and find its weights.

    Args:
        study: A sweep's study.
        output: Folder that the bundle goes into, as ``NAME-fast`` or ``NAME-trial-N-fast``: never in place of
            one with final trainings.
        storage: Where the study is.
        trial: Number of the trial to export; by default the winner.
        force: Write the bundle anew although it is there.

    Raises:
        SweepError: There is nothing to export, no place for it, or its weights were not kept.
    """
    name, stored = study.study_name, StoredStudy.of(study)
    require_exportable(stored)
    choice = replace(chosen(stored, trial), beside=None)
    require_same_model(stored, n_parameters=choice.n_parameters)
    found = next((one for one in stored.trials if one.number == choice.trial), None)
    if found is None:
        raise _refused(name, choice.name, "no trial of the sweep has trained it; --trial N names one")
    try:
        weights = find_kept(stored, found, choice.epochs, weights_folder(storage, name))
    except NotKeptError as error:
        raise _refused(name, choice.name, f"{error}; {_HOW_TO_KEEP}") from error
    number = "" if trial is None else f"-trial-{trial}"
    folder = output / f"{safe_name(name)}{number}-fast"
    final = KeptFinal(study, choice, 1, Path(), trial=found, weights=weights)
    check_place(folder)
    there = bundle_facts(folder)
    same = there is not None and (there["key"], there["chosen"]) == (final.key, choice.words)
    return ExportPlan(study, choice, folder, final, same and not force, again=False, fast=True)


_HOW_TO_KEEP: Final = (
    "a sweep keeps those of the best trials that it trains with keep_models = 3 at the top of its file, "
    "--set keep_models=3, or Tuner(..., keep_models=3)"
)


def _refused(study: str, what: str, reason: str) -> SweepError:
    told = f"study {study!r}: {what} can't be exported without training: {reason}"
    return SweepError(f"{told}; export without --fast trains the model")


def run_fast_export(
    plan: ExportPlan,
    *,
    storage_url: str,
    say: Callable[[str], None],
    engine: str = "local",
    data_dir: Path | None = None,
) -> Mapping[str, Any]:
    """Write a bundle from kept weights. The study is read only: it may be running, and holds no note of it.

    Args:
        plan: As `plan_fast_export` gives it; its bundle is not there yet.
        storage_url: Where the study is.
        say: Takes a line for the user.
        engine: Name of the engine that loads and measures the model.
        data_dir: Where Fashion-MNIST is to be found.

    Returns:
        What ``metrics.json`` holds.

    Raises:
        SweepError: The model can't be loaded or saved, scores otherwise than it did, the data set is another,
            or the bundle can't be written.
    """
    swept = StoredStudy.of(plan.study)
    data = data_sets.open_data(
        swept.config["data"],
        data_dir=data_dir,
        say=say,
        folders=swept.folders,
        seconds=swept.config.get("budget", {}).get("prepare_seconds", PREPARE_S),
        reading=data_sets.Reading.of(swept.config),
    )
    require_fitting_data(plan.study, data, flip_average=False)
    for line in plan.outlook():
        say(line)

    def make_engine(trainer: str | None, places: Places) -> OpenEngine:
        return open_engine(engine, 1, places=places, trainer=trainer or KERAS_TRAINER)

    with tempfile.TemporaryDirectory(prefix="fmnist-sweep-") as work:
        return run_fast_plan(plan, data, make_engine, work=Path(work), mode=file_mode(storage_url))


def run_fast_plan(
    plan: ExportPlan, data: DataRef, make_engine: MakeEngine, *, work: Path, mode: int | None = None
) -> Mapping[str, Any]:
    """Load, measure and deliver the model in a folder, and write the bundle from it; as `run_fast_export`."""
    final = plan.final
    if not isinstance(final, KeptFinal):
        raise TypeError("a fast export has kept weights in the place of final trainings")
    final = replace(final, root=work)
    plan = replace(plan, final=final)
    places = Places.of(
        data,
        deliveries=final.folder,
        code=StoredStudy.of(plan.study).folders,
        weights=final.weights.parent,
    )
    try:
        with make_engine(None, places) as engine:
            restore(final.jobs(data.key)[0], final.weights, final.trial, engine)
    except NotKeptError as error:
        raise _refused(plan.study.study_name, plan.choice.name, str(error)) from error
    curve = final.trial.curve
    if curve is not None:
        final.deliveries[0].keep_curve(LearningCurve(curve.epochs[: plan.choice.epochs]))
    own = own_parts(final, data.key, make_engine, places)
    facts, fill = bundle_filler(plan, data, own)
    write_bundle(plan.folder, facts, fill, mode=mode)
    return facts
