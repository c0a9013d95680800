"""What stands in a bundle of a model of any task, on data that are handed to ``fit`` as they are."""

from __future__ import annotations

import math
import platform
import shlex
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pandas as pd

import fmnist_sweep
from fmnist_sweep.analysis import measures
from fmnist_sweep.analysis.frames import to_csv, trials_frame
from fmnist_sweep.analysis.summary import scoring
from fmnist_sweep.core.curves import SCORE_DECIMALS
from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.core.versions import versions
from fmnist_sweep.core.wording import show_interval, show_value
from fmnist_sweep.data.calls import columns_of
from fmnist_sweep.data.test_set import has_test
from fmnist_sweep.export.card import fast_words
from fmnist_sweep.export.choice import sweep_file
from fmnist_sweep.export.contents import history
from fmnist_sweep.export.delivered import Delivery
from fmnist_sweep.export.outputs import Output, outputs_of
from fmnist_sweep.export.own_code import FOLDER
from fmnist_sweep.export.own_parts import OwnParts
from fmnist_sweep.export.plan import ExportPlan
from fmnist_sweep.export.script import PREDICT, assets, needed, predict_any_script
from fmnist_sweep.reports import pictures, task_pictures
from fmnist_sweep.reports.exported_call import beside_words, shown_metrics
from fmnist_sweep.storage.stored import StoredStudy

_INTERVALS: Final = {"mean": "95 %, over seeds on the same split: Student's t"}
_NO_TEST: Final = "the data have no test part (x_test and y_test)"
_NOT_READ: Final = "a fast export reads none"
_MANY_PAIRS: Final = 20
_SHARES: Final = frozenset({"accuracy", "auc", "f1", "balanced_accuracy", "average_precision", "brier"})
_NEVER_NEGATIVE: Final = frozenset({"mae", "mse", "rmse", "mape", "log_loss", "cross_entropy"})


def untested(data: DataRef, deliveries: Sequence[Delivery]) -> str:
    """Return why models can't be measured on a test part; empty where they can.

    Args:
        data: The sweep's data.
        deliveries: All trainings of an export, each of them done.
    """
    if not has_test(data):
        return _NO_TEST
    return next((str(why) for d in deliveries if (why := d.source.get("prepared"))), "")


def export_facts(
    plan: ExportPlan, data: DataRef, deliveries: list[Delivery], own: OwnParts
) -> dict[str, Any]:
    """Return what a bundle's ``metrics.json`` holds; as `fmnist_sweep.export.contents.export_facts` does."""
    # Read now: the reading of the test part that this export made is to be among the study's.
    study, final, choice = StoredStudy.of(plan.study), plan.final, plan.choice
    rows = [_row(study, delivery) for delivery in deliveries]
    return {
        "form": "call",
        "name": plan.folder.name,
        "study": study.name,
        "trial": choice.trial,
        "confirmed": choice.confirmed,
        "chosen": choice.words,
        **({} if choice.headline is None else {"headline": choice.headline}),
        **_beside(plan, study, rows),
        # Left out where final trainings were made.
        **({"fast": True} if plan.fast else {}),
        "key": final.key,
        "kind": study.config["model"],
        "model_path": study.model_path,
        "n_parameters": deliveries[0].source["n_parameters"],
        "hyperparameters": dict(choice.hyperparameters),
        "epochs": choice.epochs,
        "metric": study.rule.metric,
        "direction": study.rule.quantity.direction,
        "measured": {part: dict(scores) for part, scores in deliveries[0].measured.items()},
        "mean": _means(rows),
        "intervals": _INTERVALS,
        "seeds": final.seeds,
        "repeats": [{"seed": d.seed, **row} for d, row in zip(deliveries, rows, strict=True)],
        "outputs": {one.name: one.kind for one in _outputs(deliveries[0])},
        "from_logits": bool(deliveries[0].source.get("from_logits")),
        "inputs": deliveries[0].example_inputs,
        "untested": _NOT_READ if plan.fast else untested(data, plan.deliveries),
        "data": {
            "name": data.name,
            "digest": data.digest,
            "input_shape": list(data.input_shape),
            "n_train": data.n_train,
            "split": final.split.to_dict(),
            "validates": data.validates,
            "columns": columns_of(Path(data.directory)),
            **({} if data.scale == "auto" else {"scale": data.scale}),
        },
        **({"custom_objects": dict(own.places)} if own.places else {}),
        "n_test_readings": len(study.readings),
        "test_readings": list(study.readings),
        "versions": versions(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _row(study: StoredStudy, delivery: Delivery) -> dict[str, float]:
    """Return the scores of one training by names such as ``val_mae``, and its gaps."""
    measured, metric = delivery.measured, study.rule.quantity
    row = {f"{part}_{name}": value for part, told in measured.items() for name, value in told.items()}
    for part in ("val", "test"):
        if metric.name in measured.get(part, {}):
            gap = metric.sign * (measured["train"][metric.name] - measured[part][metric.name])
            row[f"gap_to_{part}"] = round(gap, SCORE_DECIMALS)
    return row


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    return {
        name: measures.mean_interval([row[name] for row in rows], within=_possible(name))
        for name in rows[0]
        if all(name in row for row in rows)
    }


def _possible(name: str) -> tuple[float, float]:
    """Return what a score can be: an interval of two or three trainings may reach beyond."""
    part, _, metric = name.partition("_")
    if part == "gap":
        return -math.inf, math.inf
    if metric.lower() in _SHARES:
        return 0.0, 1.0
    return (0.0, math.inf) if metric in _NEVER_NEGATIVE else (-math.inf, math.inf)


def _beside(plan: ExportPlan, study: StoredStudy, rows: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return what was measured beside the choice, and by how much the choice is above it, seed by seed."""
    if plan.beside is None:
        return {}
    choice, deliveries = plan.beside.choice, plan.beside.deliveries
    others = [_row(study, delivery) for delivery in deliveries]
    names = [f"{part}_{study.rule.metric}" for part in ("val", "test")]
    return {
        "beside": {
            "name": choice.name,
            "trial": choice.trial,
            "epochs": choice.epochs,
            "n_parameters": deliveries[0].source["n_parameters"],
            "hyperparameters": dict(choice.hyperparameters),
            "mean": _means(others),
            "difference": {
                name: measures.mean_interval([a[name] - b[name] for a, b in zip(rows, others, strict=True)])
                for name in names
                if all(name in row for row in (*rows, *others))
            },
        }
    }


def _outputs(delivery: Delivery) -> list[Output]:
    return outputs_of(delivery.arrays, from_logits=bool(delivery.source.get("from_logits")))


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
    del data
    study, first = StoredStudy.of(plan.study), deliveries[0]
    title, runs_alone = plan.title, own.runs_alone
    shutil.copyfile(first.model, folder / "model.keras")
    shutil.copyfile(first.example, folder / "example.npz")
    curve = pictures.learning_curve(
        [d.curve for d in deliveries], title=f"Learning curve of {title}", metrics=shown_metrics(facts)
    )
    pictures.save(curve, folder / "learning_curve.png", folder / "learning_curve.pdf")
    drawn, tables = [], {}
    for output in _outputs(first):
        drawn += _draw(folder, output, title)
        if output.kind in ("classes", "binary"):
            judged = output.parts.get("test", output.parts["val"])
            table = measures.classification_table(_shares(judged[1]), judged[0], output.class_names)
            name = f"classification_report{_suffix(output)}.csv"
            tables[name] = table.to_csv(index=False, float_format="%.6f")
    texts = {
        "config.toml": sweep_file(
            study, plan.choice, name=f"{plan.folder.name}-final", seed=first.seed, as_swept=plan.fast
        ),
        "history.csv": history([d.curve for d in deliveries], plan.final.seeds, study.rule.gaps),
        "trials.csv": to_csv(trials_frame(study)),
        **tables,
        "README.md": _card(plan, facts, first, own, scoring=scoring(study), drawn=drawn, tables=list(tables)),
    }
    if runs_alone:
        texts[PREDICT] = predict_any_script(own, first.source, title=title)
    if own.code is not None:
        own.code.write(folder / FOLDER)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _suffix(output: Output) -> str:
    return f"-{'-'.join(output.name.split('/'))}" if output.name else ""


def _draw(folder: Path, output: Output, title: str) -> list[tuple[str, str]]:
    """Draw what an output predicts, and return the names of the pictures with what they show."""
    of = f", output {output.name}" if output.name else ""
    drawn = []
    for name, words, figure in _figures(output, f"{title}{of}"):
        file = f"{name}{_suffix(output)}"
        pictures.save(figure, folder / f"{file}.png", folder / f"{file}.pdf")
        drawn.append((f"{file}.png", f"{words}{of}"))
    return drawn


def _figures(output: Output, title: str) -> list[tuple[str, str, Any]]:
    if output.kind == "regression":
        figure = task_pictures.predicted_and_true(output.parts, title=f"Predictions of {title}")
        return [("predicted_and_true", "Predicted against true, and residuals", figure)]
    if output.kind == "labels":
        joined = {part: (y.reshape(-1), p.reshape(-1)) for part, (y, p) in output.parts.items()}
        figure = task_pictures.roc_and_calibration(joined, title=f"All labels of {title}")
        return [("roc_and_calibration", "ROC and calibration, all labels together", figure)]
    found = [_confusion(output, title)]
    if output.kind == "binary":
        figure = task_pictures.roc_and_calibration(output.parts, title=f"ROC and calibration of {title}")
        found.append(("roc_and_calibration", "ROC and calibration", figure))
    return found


def _confusion(output: Output, title: str) -> tuple[str, str, Any]:
    counts = {part: measures.confusion(_shares(p), y) for part, (y, p) in output.parts.items()}
    if len(output.class_names) <= task_pictures.MOST_IN_A_MATRIX:
        figure = pictures.confusion_matrices(
            counts, output.class_names, title=f"Confusion matrix of {title}", what="rows"
        )
        return "confusion_matrix", "Confusion matrix: actual classes in rows, predicted in columns", figure
    judged = "test" if "test" in counts else "val"
    pairs = measures.most_confused(counts[judged], output.class_names, n=_MANY_PAIRS)
    bars = [(f"{pair.actual} taken for {pair.predicted}", pair.n) for pair in pairs]
    figure = task_pictures.worst_pairs(bars, title=f"Most confused, {pictures.PART_NAMES[judged]} rows")
    return "most_confused", "The classes that are confused most often", figure


def _shares(predicted: Any) -> Any:
    """Return the probability of each class, in columns."""
    return predicted if predicted.ndim == 2 else pd.DataFrame({0: 1 - predicted, 1: predicted}).to_numpy()


def _card(
    plan: ExportPlan,
    facts: Mapping[str, Any],
    first: Delivery,
    own: OwnParts,
    *,
    scoring: str,
    drawn: Sequence[tuple[str, str]],
    tables: Sequence[str],
) -> str:
    """Return README.md of a bundle."""
    mean, metric = facts["mean"], facts["metric"]
    unit, names = UNITS[metric], shown_metrics(facts)
    parts = [part for part in pictures.PART_NAMES if part in facts["measured"]]
    # Empty where there is none: what came through a Tuner has no test part.
    gaps = {
        part: show_interval(mean[f"gap_to_{part}"], unit, gap=True) if f"gap_to_{part}" in mean else ""
        for part in ("val", "test")
    }
    return (
        assets()
        .get_template("README-call.md.j2")
        .render(
            facts=facts,
            headline=facts.get("headline", ""),
            version=fmnist_sweep.__version__,
            when=facts["written"][:16].replace("T", " "),
            n_parameters=f"{facts['n_parameters']:,}",
            metric=metric,
            names=[UNITS[name].name for name in names],
            rows=[
                [
                    pictures.PART_NAMES[part],
                    *(show_interval(mean[f"{part}_{n}"], UNITS[n]) for n in names if f"{part}_{n}" in mean),
                ]
                for part in parts
            ],
            own_rows=[
                [pictures.PART_NAMES[part], *(UNITS[n].show(facts["measured"][part].get(n)) for n in names)]
                for part in parts
            ],
            gaps=gaps,
            repeats=len(facts["seeds"]),
            fast=fast_words(facts),
            tested="test" in parts,
            read_times="once" if facts["n_test_readings"] == 1 else f"{facts['n_test_readings']} times",
            beside=" ".join(beside_words(facts)),
            scoring=scoring.removeprefix("score = "),
            hyperparameters=[(n, show_value(value)) for n, value in facts["hyperparameters"].items()],
            split=_split_words(facts["data"]),
            versions=", ".join(f"{name} {version}" for name, version in facts["versions"].items()),
            drawn=drawn,
            tables=tables,
            model=facts["kind"],
            runs_alone=own.runs_alone,
            has_own_code=own.code is not None,
            own_folder=FOLDER,
            needs=needed(() if own.code is None else own.code.libraries),
            why_no_code=own.why_not,
            own_parts=", ".join(f"`{place}`" for place in own.places.values()),
            has_lambdas=own.has_lambdas,
            python=facts["versions"].get("python", platform.python_version()),
            study=shlex.quote(plan.study.study_name),
            n_examples=len(next(iter(first.example_outputs.values()))),
        )
    )


def _split_words(data: Mapping[str, Any]) -> str:
    if data["validates"]:
        return "the data say themselves what validates"
    split = data["split"]
    kind = split.get("kind") or "drawn by class where the targets are classes, else at random"
    return f"{kind}, n_val = {split['n_val']:,}, seed {split['seed'] or 0}; of few rows a fifth validates"


def export_summary(facts: Mapping[str, Any], delivery: Delivery) -> dict[str, Any]:
    """Return what the study keeps of a bundle: report and dashboard show it."""
    kept = ["form", "name", "trial", "confirmed", "chosen", "key", "epochs", "metric", "measured", "mean"]
    kept += ["seeds", "written", "untested", "headline", "beside"]
    outputs = [one for one in _outputs(delivery) if one.kind in ("classes", "binary")]
    counts, names = {}, list[str]()
    if len(outputs) == 1 and len(outputs[0].class_names) <= task_pictures.MOST_IN_A_MATRIX:
        names = list(outputs[0].class_names)
        counts = {
            part: measures.confusion(_shares(p), y).tolist() for part, (y, p) in outputs[0].parts.items()
        }
    return {
        **{name: facts[name] for name in kept if name in facts},
        "confusion": counts,
        "class_names": names,
        "curve": delivery.curve.to_attribute(),
    }
