"""Hand a configuration out: train it on fresh seeds, read the test set once, write the bundle."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
import pandas as pd

from fmnist_sweep.analysis import measures
from fmnist_sweep.analysis.confirmations import draws_trials, is_confirmation
from fmnist_sweep.analysis.frames import trials_frame
from fmnist_sweep.analysis.ranking import left_out_notes, readings_of
from fmnist_sweep.analysis.summary import scoring
from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.core.files import safe_name
from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.core.progress import FinalProgress
from fmnist_sweep.core.versions import versions
from fmnist_sweep.data.test_set import has_test
from fmnist_sweep.engines.base import Engine
from fmnist_sweep.reports import pictures
from fmnist_sweep.reports.exported import ATTRIBUTE, BUNDLES, bundle_entry, with_bundle
from fmnist_sweep.storage.attributes import READ_ONLY
from fmnist_sweep.storage.studies import require_writable
from fmnist_sweep.winners.bundle import bundle_facts, check_place, write_bundle
from fmnist_sweep.winners.card import model_card
from fmnist_sweep.winners.choice import Chosen, chosen, sweep_file
from fmnist_sweep.winners.delivered import Delivery
from fmnist_sweep.winners.final import TEST_READER, FinalPlan, read_test, train_finals
from fmnist_sweep.winners.readings import complete_reading, record_reading, require_unread
from fmnist_sweep.winners.script import train_script

MakeEngine = Callable[[str | None], Engine]
"""Gives an engine for the trainer of this import path; None stands for the trainer of sweeps."""

_INTERVALS: Final = {
    "model": "95 %, over images of the same kind: Wilson for accuracies, normal for cross-entropies",
    "mean": "95 %, over seeds on the same split: Student's t",
}


@dataclass(frozen=True)
class ExportPlan:
    """An export that nothing speaks against so far, and that nothing heavy was loaded for.

    Attributes:
        study: The sweep's study.
        choice: What is exported.
        folder: The bundle.
        final: The trainings behind it.
        is_there: Whether the bundle is there already, of the same choice: nothing is left to do.
        again: Whether the test set may be read although it was.
    """

    study: optuna.Study
    choice: Chosen
    folder: Path
    final: FinalPlan
    is_there: bool
    again: bool

    @property
    def is_tested(self) -> bool:
        """Whether what a reading of the test set gave for these trainings is kept, and may be used."""
        return not self.again and all(d.is_trained and d.is_tested for d in self.final.deliveries)

    def outlook(self) -> list[str]:
        """Return what the export is about to do, a line each."""
        final, folder = self.final, self.folder
        lines = [self.choice.words, *left_out_notes(self.study)]
        if self.is_tested:
            return [*lines, f"Writing {folder} from the trainings and the reading that are kept."]
        kept = sum(delivery.is_trained for delivery in final.deliveries)
        done = f" ({kept} are done)" if kept else ""
        trainings = f"Training {final.n_repeats} times for {self.choice.epochs} epochs{done}"
        return [*lines, f"{trainings}, then reading the test set, if there is one, into {folder}."]


def is_sweep(study: optuna.Study) -> bool:
    """Return whether a study is a sweep's own, and not one of repeats or of another program."""
    return "config" in study.user_attrs and not is_confirmation(study)


def is_users_sweep(study: optuna.Study) -> bool:
    """Return whether a study is a sweep of the user's own: none of the paper, none that is read-only."""
    return is_sweep(study) and draws_trials(study) and study.user_attrs.get(READ_ONLY) is None


def plan_export(
    study: optuna.Study,
    *,
    output: Path,
    root: Path,
    trial: int | None = None,
    n_repeats: int = 5,
    again: bool = False,
    force: bool = False,
) -> ExportPlan:
    """Choose what to export, and check what can be checked before anything trains.

    Args:
        study: A sweep's study.
        output: Folder that the bundle goes into, under the study's name; with ``trial`` as
            ``NAME-trial-N``.
        root: Folder that keeps the study's final trainings.
        trial: Number of the trial to export; by default the winner.
        n_repeats: Number of trainings.
        again: Read the test set although it was read before.
        force: Write the bundle anew although it is there.

    Raises:
        SweepError: There is nothing to export, no place for it, or the test set was read before.
    """
    name = study.study_name
    if is_confirmation(study):
        confirmed = study.user_attrs["confirms"]
        raise SweepError(f"study {name!r} holds repeats that confirm another; export {confirmed!r}")
    if not is_sweep(study):
        raise SweepError(f"study {name!r} was not made by fmnist-sweep: there is nothing to train from")
    require_writable(study)
    choice = chosen(study, trial)
    folder = output / (safe_name(name) if trial is None else f"{safe_name(name)}-trial-{trial}")
    final = FinalPlan(study, choice, n_repeats, root)
    check_place(folder)
    there = bundle_facts(folder)
    # The words as well: the same configuration may have been confirmed since.
    same = there is not None and (there["key"], there["chosen"]) == (final.key, choice.words)
    is_there = same and not (again or force)
    plan = ExportPlan(study, choice, folder, final, is_there, again)
    if not is_there and not plan.is_tested:
        require_unread(study, again=again)
    return plan


def run_plan(
    plan: ExportPlan,
    data: DataRef,
    make_engine: MakeEngine,
    *,
    interrupted: threading.Event | None = None,
    observer: Callable[[FinalProgress], None] = lambda _: None,
) -> Mapping[str, Any]:
    """Train, read the test set once, write the bundle, and note it in the study.

    Args:
        plan: Whose bundle is not there yet.
        data: The sweep's data set.
        make_engine: Where the trainings run.
        interrupted: Once set, the trainings are given up; those that are done are kept.
        observer: Called whenever something of the trainings happens.

    Returns:
        What ``metrics.json`` holds.

    Raises:
        SweepError: A training failed, the data set is another, or the bundle can't be written; the study then
            holds a reading of the test set if, and only if, it may have been read.
    """
    study, final = plan.study, plan.final
    if data.digest != study.user_attrs["data_digest"]:
        raise SweepError(
            f"study {study.study_name!r}: its data set has changed since the sweep: its content was "
            f"{study.user_attrs['data_digest'][:12]} and is {data.digest[:12]}; put the old one back"
        )
    if not plan.is_tested:
        jobs = final.jobs(data)
        with closing(make_engine(None)) as engine:
            train_finals(engine, jobs, interrupted=interrupted, observer=observer)
        if has_test(data):
            # Asked once more: another export may have come before this one since it was planned.
            require_unread(study, again=plan.again)
            for delivery in final.deliveries:
                delivery.forget_test()
            record_reading(study, plan.choice, key=final.key, n_models=len(jobs))
            with closing(make_engine(TEST_READER)) as engine:
                read_test(engine, jobs, final.folder)
    deliveries = final.deliveries
    if all(delivery.is_tested for delivery in deliveries):
        # Also of an earlier export, which was killed before it could say so.
        complete_reading(study, key=final.key)
    facts = _facts(plan, data, deliveries)
    write_bundle(plan.folder, facts, lambda folder: _fill(folder, plan, data, deliveries, facts))
    study.set_user_attr(ATTRIBUTE, _summary(facts, deliveries[0]))
    study.set_user_attr(BUNDLES, with_bundle(study, bundle_entry(str(plan.folder), facts)))
    _forget_other_choices(final)
    return facts


def _facts(plan: ExportPlan, data: DataRef, deliveries: list[Delivery]) -> dict[str, Any]:
    study, final = plan.study, plan.final
    scores = [measures.model_scores(delivery.predictions) for delivery in deliveries]
    readings = readings_of(study)
    return {
        "name": plan.folder.name,
        "study": study.study_name,
        "trial": plan.choice.trial,
        "confirmed": plan.choice.confirmed,
        "chosen": plan.choice.words,
        "key": final.key,
        "kind": study.user_attrs["config"]["model"],
        "model_path": study.user_attrs["model_path"],
        "n_parameters": deliveries[0].source["n_parameters"],
        "hyperparameters": dict(plan.choice.hyperparameters),
        "epochs": plan.choice.epochs,
        "model": scores[0],
        "mean": measures.over_repeats(scores),
        "intervals": _INTERVALS,
        "seeds": final.seeds,
        "repeats": [_repeat(d.seed, score) for d, score in zip(deliveries, scores, strict=True)],
        "data": {
            "name": data.name,
            "digest": data.digest,
            "input_shape": list(data.input_shape),
            "class_names": list(data.class_names),
            "split": asdict(final.split),
        },
        "n_test_readings": len(readings),
        "test_readings": list(readings),
        "versions": versions(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _repeat(seed: int, scores: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {"seed": seed}
    for name, value in scores.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}_{metric}": value[metric] for metric in ("accuracy", "cross_entropy")}
        else:
            flat[name] = value
    return flat


def _fill(
    folder: Path, plan: ExportPlan, data: DataRef, deliveries: list[Delivery], facts: Mapping[str, Any]
) -> None:
    """Write all files of a bundle but ``metrics.json``."""
    study, first = plan.study, deliveries[0]
    names, title = data.class_names, _title(plan)
    counts = {part: measures.confusion(*predicted) for part, predicted in first.predictions.items()}
    judged = "test" if "test" in counts else "val"
    script = train_script(
        plan.final.jobs(data)[0], first.source, about=f"{title}. {plan.choice.words}", versions=versions()
    )
    shutil.copyfile(first.model, folder / "model.keras")
    texts = {
        "config.toml": sweep_file(study, plan.choice, name=f"{plan.folder.name}-final", seed=first.seed),
        "history.csv": _history([d.curve for d in deliveries], plan.final.seeds).to_csv(index=False),
        "trials.csv": trials_frame(study).to_csv(index=False),
        "classification_report.csv": measures.classification_table(*first.predictions[judged], names).to_csv(
            index=False, float_format="%.6f"
        ),
        "README.md": model_card(
            facts,
            scoring=scoring(study),
            pairs=measures.most_confused(counts[judged], names),
            has_script=script is not None,
            why_no_script=str(first.source.get("why_not", "")),
            has_worst="test" in counts,
        ),
    }
    if script is not None:
        texts["train.py"] = script
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    curve = pictures.learning_curve([d.curve for d in deliveries], title=f"Learning curve of {title}")
    pictures.save(curve, folder / "learning_curve.png", folder / "learning_curve.pdf")
    matrices = pictures.confusion_matrices(counts, names, title=f"Confusion matrix of {title}")
    pictures.save(matrices, folder / "confusion_matrix.png", folder / "confusion_matrix.pdf")
    if "test" in counts:
        _draw_worst(folder / "misclassified.png", first, data)


def _draw_worst(path: Path, delivery: Delivery, data: DataRef) -> None:
    worst, images = delivery.worst
    probabilities, labels = delivery.predictions["test"]
    predicted = probabilities[worst].argmax(axis=1)
    figure = pictures.misclassified(
        images,
        [data.class_names[int(i)] for i in labels[worst]],
        [data.class_names[int(i)] for i in predicted],
        probabilities[worst, predicted].tolist(),
        title=f"The most confident mistakes among {len(labels):,} test images",
    )
    pictures.save(figure, path)


def _title(plan: ExportPlan) -> str:
    trial = plan.choice.trial
    return f"{plan.study.study_name}, {'the default' if trial is None else f'trial {trial}'}"


def _history(curves: list[LearningCurve], seeds: list[int]) -> pd.DataFrame:
    """Return one row for each epoch of each training, epochs counted from 1."""
    parts = []
    for seed, curve in zip(seeds, curves, strict=True):
        part = pd.DataFrame(curve.to_attribute())
        part.insert(0, "epoch", np.arange(1, len(curve) + 1))
        part.insert(0, "seed", seed)
        part["gap"] = (part["train_accuracy"] - part["val_accuracy"]).round(6)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _summary(facts: Mapping[str, Any], delivery: Delivery) -> dict[str, Any]:
    """Return what the study keeps of a bundle: report and dashboard show it."""
    kept = (
        "name",
        "trial",
        "confirmed",
        "chosen",
        "key",
        "epochs",
        "model",
        "mean",
        "seeds",
        "repeats",
        "written",
    )
    counts = {part: measures.confusion(*p).tolist() for part, p in delivery.predictions.items()}
    return {
        **{name: facts[name] for name in kept},
        "confusion": counts,
        "class_names": facts["data"]["class_names"],
        "curve": delivery.curve.to_attribute(),
    }


def _forget_other_choices(final: FinalPlan) -> None:
    for folder in final.root.iterdir():
        if folder != final.folder and folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
