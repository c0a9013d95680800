"""What stands in a bundle: its facts, texts, tables and pictures."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pandas as pd

from fmnist_sweep.analysis import measures
from fmnist_sweep.analysis.frames import to_csv, trials_frame
from fmnist_sweep.analysis.summary import scoring
from fmnist_sweep.core.curves import SCORE_DECIMALS, FloatArray, LearningCurve
from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.core.score import generalization_gap
from fmnist_sweep.core.versions import versions
from fmnist_sweep.export.card import model_card
from fmnist_sweep.export.choice import sweep_file
from fmnist_sweep.export.delivered import Delivery
from fmnist_sweep.export.own_code import FOLDER
from fmnist_sweep.export.own_parts import OwnParts
from fmnist_sweep.export.plan import ExportPlan
from fmnist_sweep.export.script import PREDICT, predict_script, train_script
from fmnist_sweep.reports import pictures
from fmnist_sweep.storage.stored import StoredStudy

_INTERVALS: Final = {
    "model": "95 %, over images of the same kind: Wilson for accuracies, normal for cross-entropies",
    "mean": "95 %, over seeds on the same split: Student's t",
}


def export_facts(
    plan: ExportPlan, data: DataRef, deliveries: list[Delivery], own: OwnParts
) -> dict[str, Any]:
    """Return what a bundle's ``metrics.json`` holds.

    Args:
        plan: The export.
        data: The sweep's data set.
        deliveries: What the final trainings handed over, the exported model's first.
        own: What the model needs of the user's own.
    """
    # Read now: the reading of the test set that this export made is to be among the study's.
    study, final = StoredStudy.of(plan.study), plan.final
    scores = [measures.model_scores(delivery.predictions) for delivery in deliveries]
    return {
        "name": plan.folder.name,
        "study": study.name,
        "trial": plan.choice.trial,
        "confirmed": plan.choice.confirmed,
        "chosen": plan.choice.words,
        **({} if plan.choice.headline is None else {"headline": plan.choice.headline}),
        **_beside(plan, scores),
        # Left out where final trainings were made.
        **({"fast": True} if plan.fast else {}),
        "key": final.key,
        "kind": study.config["model"],
        "model_path": study.model_path,
        "n_parameters": deliveries[0].source["n_parameters"],
        "hyperparameters": dict(plan.choice.hyperparameters),
        "epochs": plan.choice.epochs,
        # Left out where it is not, as in all bundles of before.
        **({"flip_average": True} if final.flip_average else {}),
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
            "split": final.split.to_dict(),
            # Left out where bytes are divided and floats are not, as in all bundles of before.
            **{name: value for name, value in deliveries[0].source.items() if name == "scale"},
        },
        # Left out where there is none, as in all bundles of models of ours.
        **({"custom_objects": dict(own.places)} if own.places else {}),
        "n_test_readings": len(study.readings),
        "test_readings": list(study.readings),
        "versions": versions(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _beside(plan: ExportPlan, scores: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what was measured beside the choice, and by how much the choice is above it, seed by seed."""
    if plan.beside is None:
        return {}
    choice, deliveries = plan.beside.choice, plan.beside.deliveries
    others = [measures.model_scores(delivery.predictions) for delivery in deliveries]
    return {
        "beside": {
            "name": choice.name,
            "trial": choice.trial,
            "epochs": choice.epochs,
            "n_parameters": deliveries[0].source["n_parameters"],
            "hyperparameters": dict(choice.hyperparameters),
            "mean": measures.over_repeats(others),
            "difference": {
                f"{part}_accuracy": measures.mean_interval(
                    [a[part]["accuracy"] - b[part]["accuracy"] for a, b in zip(scores, others, strict=True)],
                    within=(-1.0, 1.0),
                )
                for part in ("val", "test")
                if part in scores[0] and part in others[0]
            },
        }
    }


def _repeat(seed: int, scores: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {"seed": seed}
    for name, value in scores.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}_{metric}": value[metric] for metric in ("accuracy", "cross_entropy")}
        else:
            flat[name] = value
    return flat


def fill_bundle(
    folder: Path,
    plan: ExportPlan,
    data: DataRef,
    deliveries: list[Delivery],
    facts: Mapping[str, Any],
    *,
    own: OwnParts,
) -> None:
    """Write all files of a bundle but ``metrics.json``, from what `export_facts` takes and gives."""
    study, first = StoredStudy.of(plan.study), deliveries[0]
    names, title = data.class_names, plan.title
    counts = {part: measures.confusion(*predicted) for part, predicted in first.predictions.items()}
    judged = "test" if "test" in counts else "val"
    script = train_script(
        plan.final.jobs(data.key)[0], first.source, about=f"{title}. {plan.choice.words}", versions=versions()
    )
    shutil.copyfile(first.model, folder / "model.keras")
    texts = {
        "config.toml": sweep_file(
            study, plan.choice, name=f"{plan.folder.name}-final", seed=first.seed, as_swept=plan.fast
        ),
        "history.csv": history([d.curve for d in deliveries], plan.final.seeds, generalization_gap),
        "trials.csv": to_csv(trials_frame(study)),
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
            own=own,
        ),
    }
    if script is not None:
        texts["train.py"] = script
    if own.runs_alone:
        texts[PREDICT] = predict_script(own, facts, title=title)
    if own.code is not None:
        own.code.write(folder / FOLDER)
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


def history(
    curves: Sequence[LearningCurve], seeds: Sequence[int], gaps: Callable[[LearningCurve], FloatArray]
) -> str:
    """Return one row for each epoch of each training, epochs counted from 1, as CSV.

    Args:
        curves: Of the trainings.
        seeds: Of each.
        gaps: Gives the gap after each epoch of a curve.
    """
    parts = []
    for seed, curve in zip(seeds, curves, strict=True):
        part = pd.DataFrame(curve.to_attribute())
        part.insert(0, "epoch", range(1, len(curve) + 1))
        part.insert(0, "seed", seed)
        part["gap"] = gaps(curve).round(SCORE_DECIMALS)
        parts.append(part)
    return pd.concat(parts, ignore_index=True).to_csv(index=False)


def export_summary(facts: Mapping[str, Any], delivery: Delivery) -> dict[str, Any]:
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
        **{name: facts[name] for name in (*kept, "headline", "beside", "flip_average") if name in facts},
        "confusion": counts,
        "class_names": facts["data"]["class_names"],
        "curve": delivery.curve.to_attribute(),
    }
