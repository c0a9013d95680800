"""The report: one static HTML page for all studies of a storage, which needs no network and no server."""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, Final

import plotly.graph_objects as go
import plotly.offline
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.basedatatypes import BaseTraceType

import fmnist_sweep
from fmnist_sweep.analysis.confirmations import read_confirmation
from fmnist_sweep.analysis.numbers import is_missing
from fmnist_sweep.analysis.ranking import best_trials, default_trial
from fmnist_sweep.analysis.study_rows import study_row
from fmnist_sweep.analysis.summary import price_words, scoring, summary
from fmnist_sweep.core.choosing import LOSSES
from fmnist_sweep.core.curves import METRICS
from fmnist_sweep.core.files import write_atomically
from fmnist_sweep.core.foreign import safe_text
from fmnist_sweep.core.metrics import METRICS_BY_NAME, UNITS
from fmnist_sweep.core.wording import ABSENT, show_score, show_seconds
from fmnist_sweep.reports.confirmed import compared_section, confirmed_section, sweeps, winning_trial
from fmnist_sweep.reports.exported import exported_section
from fmnist_sweep.reports.figures import accuracy_against_gap, best_curves, learning_curves
from fmnist_sweep.reports.page_table import Cell, Column
from fmnist_sweep.reports.search_figures import importance, parallel_coordinates, score_history, slices
from fmnist_sweep.reports.style import TEMPLATE, placeholder, show_configuration
from fmnist_sweep.reports.thinning import thinned_note
from fmnist_sweep.reports.trial_rows import trial_rows
from fmnist_sweep.storage.damage import passed_by
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial

N_BEST: Final = 5
N_CURVES: Final = 12
"""Trials whose learning curves can be chosen in the page."""


def write_report(
    studies: Iterable[StoredStudy], path: Path, *, storage: str = "studies.db", when: datetime | None = None
) -> Path:
    """Write the page, whole or not at all.

    Args:
        studies: All studies to show, in this order.
        path: The file; its folder is made where it is missing.
        storage: How the page names the storage.
        when: Time of writing that the page shows; by default now.

    Returns:
        ``path``.

    Raises:
        StorageError: The file can't be written.
    """
    page = render_report(
        studies, storage=storage, when=datetime.now(UTC).astimezone() if when is None else when
    )
    write_atomically(path, page)
    return path


def render_report(studies: Iterable[StoredStudy], *, storage: str, when: datetime) -> str:
    """Return the page as text."""
    # First, while there is little else in memory: the script is the largest text of all.
    plotly_script = packed(plotly.offline.get_plotlyjs())
    given = list(studies)
    studies = sweeps(study for study in given if not study.damaged)
    figures: dict[str, go.Figure] = {}
    sections = [_section(study, f"study-{i}", figures) for i, study in enumerate(studies)]
    winners = compared_section(studies, figures)
    heights = {name: figure.layout.height or 400 for name, figure in figures.items()}
    data = _data(sections, figures)
    environment = Environment(
        loader=PackageLoader("fmnist_sweep.reports", "assets"), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("report.html.j2").render(
        storage=storage,
        when=f"{when:%Y-%m-%d %H:%M %Z}".strip(),
        version=fmnist_sweep.__version__,
        sections=sections,
        n_trials=sum(s["n_trials"] for s in sections),
        comparison=_comparison(studies),
        winners=winners,
        damaged=[passed_by(study) for study in given if study.damaged],
        heights=heights,
        data=data,
        plotly=plotly_script,
        **{name: _asset(file) for name, file in _ASSETS.items()},
    )
    return safe_text(page, None)


def _data(sections: Sequence[dict[str, Any]], figures: dict[str, go.Figure]) -> str:
    """Return, packed, what the page draws from; each figure is dropped as it is written, to save memory."""
    texts: dict[str, int] = {}
    data = {
        "template": TEMPLATE,
        "figures": {name: _bare(figures.pop(name), texts) for name in tuple(figures)},
        "texts": list(texts),
        "whatif": {s["id"]: s["whatif"].pop("data") for s in sections if s["whatif"]},
        "trials": {s["id"]: s["trials"] for s in sections if s["trials"]},
    }
    return packed(json.dumps(data, allow_nan=False, separators=(",", ":")))


_ASSETS: Final = {
    "css": "report.css",
    "whatif_js": "whatif.js",
    "trials_js": "trials.js",
    "report_js": "report.js",
}


def _asset(name: str) -> Markup:
    return Markup((resources.files("fmnist_sweep.reports") / "assets" / name).read_text("utf-8"))  # noqa: S704


def packed(text: str) -> str:
    """Return a text compressed, in letters that can stand inside a script element: none can close it.

    The page unpacks it where it is read. Plotly's script and a thousand trials' curves take a third of
    their size in this way.
    """
    # No time of writing in its header: equal studies give equal pages.
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode()


def _bare(figure: go.Figure, texts: dict[str, int]) -> dict[str, Any]:
    """Return a figure as the page holds it, and add what its points show to the texts of all figures."""
    shown = [trace.pop("text") if _has_texts(trace) else None for trace in figure.data]
    # The page holds the template once, and writes the titles itself.
    written: dict[str, Any] = json.loads(figure.to_json())
    for trace, own in zip(written["data"], shown, strict=True):
        if own is not None:
            # A dozen figures show the same of a trial: each text stands in the page once.
            trace["texts"] = [texts.setdefault(text, len(texts)) for text in own]
    layout = written["layout"]
    layout.pop("template", None)
    if layout.pop("title", None) and "margin" not in layout:
        layout["margin"] = {"t": 12}
    return {"data": written["data"], "layout": layout}


def _has_texts(trace: BaseTraceType) -> bool:
    text = getattr(trace, "text", None)
    return isinstance(text, tuple) and all(isinstance(one, str) for one in text)


def _section(study: StoredStudy, key: str, figures: dict[str, go.Figure]) -> dict[str, Any]:
    rule = study.rule
    best = [t for t in best_trials(study, N_CURVES) if t.curve is not None]
    default = default_trial(study)
    shown = [*best, *([default] if default is not None and default not in best else [])]
    drawn = {
        "gap": accuracy_against_gap(study),
        "best": best_curves(study),
        "importance": importance(study),
        "history": score_history(study),
        "parallel": parallel_coordinates(study),
    }
    figures.update({f"{key}-{name}": figure for name, figure in drawn.items()})
    curves = []
    for i, trial in enumerate(shown):
        # The first one is what the page opens with.
        name = f"{key}-curve" if i == 0 else f"{key}-curve-{trial.number}"
        figures[name] = learning_curves(trial, rule)
        curves.append({"figure": name, "label": _curve_label(trial, i, default)})
    if not shown:
        figures[f"{key}-curve"] = placeholder("No trial is complete yet.", title="Learning curves")
    pieces = []
    for i, (name, figure) in enumerate(slices(study).items()):
        figures[f"{key}-slice-{i}"] = figure
        pieces.append({"id": f"{key}-slice-{i}", "name": name})
    return {
        "id": key,
        "name": study.name,
        "n_trials": len(study.trials),
        "scoring": scoring(study),
        "summary": summary(study),
        "price": price_words(study),
        "thinned": thinned_note(study),
        "facts": _facts(study),
        "best": _best_table(study),
        "trials": trial_rows(study),
        "confirm": confirmed_section(study, key, figures),
        "curves": curves,
        "titles": {name: figure.layout.title.text for name, figure in drawn.items()},
        "slices": pieces,
        "whatif": _whatif(study),
        "export": exported_section(study, key, figures),
        "failures": _failures(study),
        "provenance": _provenance(study),
        "config": json.dumps(study.config, indent=2),
    }


def _curve_label(trial: StoredTrial, place: int, default: StoredTrial | None) -> str:
    label = f"trial {trial.number}"
    if place == 0:
        label += ", the best"
    return f"{label}, the default configuration" if trial == default else label


def _facts(study: StoredStudy) -> list[dict[str, str]]:
    unit = UNITS[study.rule.metric]
    best = next(iter(best_trials(study, 1)), None)
    if best is None:
        return []
    default = default_trial(study)

    def fact(name: str, shown: str) -> dict[str, str]:
        value, _, of = shown.partition(" ")
        return {"name": name, "value": value, "unit": of}

    facts = [
        fact(
            "best score"
            if study.linked is None or study.linked.decision is None
            else "the sweep's best score",
            show_score(best.value),
        ),
        fact(f"validation {unit.name}", unit.show(best.scores.get(f"val_{unit.metric}"))),
        fact(f"training {unit.name}", unit.show(best.scores.get(f"train_{unit.metric}"))),
        fact("gap", unit.show(best.gap, gap=True)),
    ]
    if default is not None and default.value is not None and best.value is not None:
        facts.append(fact("score over the default", unit.show(best.value - default.value, signed=True)))
    seconds = [trial.seconds for trial in study.trials if trial.seconds is not None]
    if seconds:
        facts.append(fact("time in training", show_seconds(sum(seconds))))
    return facts


def _comparison(studies: Sequence[StoredStudy]) -> dict[str, Any]:
    of_accuracy = " accuracy" if all(s.rule.shown_metric == "accuracy" for s in studies) else ""
    titles = ["study", "model", "score", f"validation{of_accuracy}", f"training{of_accuracy}", "gap", "epoch"]
    titles += ["parameters", "over the default", "trials", "pruned", "paused", "failed", "time"]
    columns = [Column(title, left=i < 2) for i, title in enumerate(titles)]
    rows = []
    for i, study in enumerate(studies):
        row = study_row(study)
        size = row["n_parameters"]
        unit = UNITS[study.rule.metric]
        cells = [
            Cell(row["name"], row["name"], href=f"#study-{i}"),
            Cell(str(row["model"] or ABSENT), str(row["model"] or "")),
            _number(row["score"], show_score(row["score"])),
            _validation(row, study),
            _training(row, study),
            _number(row["gap"], unit.show(row["gap"], gap=True)),
            _number(row["epoch"], "" if is_missing(row["epoch"]) else str(row["epoch"])),
            _number(size, "" if is_missing(size) else f"{size:,}"),
            _number(row["difference"], unit.show(row["difference"], signed=True)),
            *(_number(row[name], str(row[name])) for name in ("n_trials", "pruned", "paused", "failed")),
            _number(row["seconds"], show_seconds(row["seconds"])),
        ]
        rows.append(list(zip(cells, columns, strict=True)))
    return {"columns": columns, "rows": rows}


def _validation(row: Mapping[Any, Any], study: StoredStudy) -> Cell:
    """Return the cell of the validation accuracy, or of the metric that is scored, with its name."""
    metric = study.rule.shown_metric
    value = row["val_accuracy" if metric == "accuracy" else "val"]
    shown = UNITS[metric].show(value)
    return _number(value, shown if metric == "accuracy" else f"{metric} {shown}")


def _training(row: Mapping[Any, Any], study: StoredStudy) -> Cell:
    """Return the cell of the best trial's training accuracy, or of the metric that is scored."""
    metric = study.rule.shown_metric
    if metric == "accuracy":
        return _number(row["train_accuracy"], UNITS[metric].show(row["train_accuracy"]))
    best = next(iter(best_trials(study, 1)), None)
    value = None if best is None else best.scores.get(f"train_{metric}")
    return _number(value, UNITS[metric].show(value))


def _best_table(study: StoredStudy) -> dict[str, Any] | None:
    unit = UNITS[study.rule.metric]
    winner = winning_trial(read_confirmation(study))
    # A winner stands in the table even where it was not among the sweep's best.
    trials = [t for i, t in enumerate(best_trials(study)) if i < N_BEST or t.number == winner]
    if not trials:
        return None
    titles = [
        "trial",
        "score",
        f"validation {unit.name}",
        f"training {unit.name}",
        "gap",
        "epoch",
        "parameters",
    ]
    columns = [*map(Column, [*titles, "time"]), Column("configuration", left=True, wrap=True)]
    rows = []
    for trial in trials:
        n_epochs = ABSENT if trial.n_epochs is None else trial.n_epochs
        texts = [
            f"{study.label(trial)}{', confirmed winner' if trial.number == winner else ''}",
            show_score(trial.value),
            unit.show(trial.scores.get(f"val_{unit.metric}")),
            unit.show(trial.scores.get(f"train_{unit.metric}")),
            unit.show(trial.gap, gap=True),
            ABSENT if trial.epoch is None else f"{trial.epoch + 1} of {n_epochs}",
            ABSENT if trial.n_parameters is None else f"{trial.n_parameters:,}",
            show_seconds(math.nan if trial.seconds is None else trial.seconds),
            show_configuration(trial),
        ]
        rows.append(list(zip(map(Cell, texts), columns, strict=True)))
    return {"columns": columns, "rows": rows}


def _failures(study: StoredStudy) -> dict[str, Any] | None:
    failed = study.in_state("FAIL")
    if not failed:
        return None
    columns = [Column("trial"), Column("reason", True, True), Column("configuration", True, True)]
    rows = []
    for trial in failed:
        again = study.followed.get(trial.number)
        why = trial.fail_words if again is None else f"{trial.fail_words}; tried again as trial {again}"
        cells = [Cell(study.label(trial)), Cell(why), Cell(show_configuration(trial))]
        rows.append(list(zip(cells, columns, strict=True)))
    return {"columns": columns, "rows": rows}


def _whatif(study: StoredStudy) -> dict[str, Any] | None:
    rule = study.rule
    unit = UNITS[rule.metric]
    of_classes = rule.metric in METRICS_BY_NAME
    # Of any other metric the page is told what it can't know.
    told = {**rule.to_dict(), **({} if of_classes else {"sign": rule.quantity.sign})}
    if rule.within_se:
        told |= {"n_val": study.n_val, "size_limit": study.size_limit}
    # The page's own arithmetic reads the metric of the rule, and the accuracy that the rule may demand.
    known = METRICS if of_classes else (f"train_{rule.metric}", f"val_{rule.metric}")
    needed = [name for name in known if name.endswith(f"_{rule.metric}") or name == "val_accuracy"]
    needed += LOSSES if rule.within_se else ()
    trials = [
        {
            "number": trial.number,
            "n_parameters": trial.n_parameters,
            "configuration": show_configuration(trial),
            "curve": {name: trial.columns[name] for name in needed if name in trial.columns},
        }
        for trial in best_trials(study)
        if trial.columns.get("seconds")
    ]
    if not trials:
        return None
    tolerance = unit.factor * rule.tolerance
    step = rule.quantity.step
    return {
        "n": len(trials),
        "penalty": f"{rule.penalty:g}",
        "tolerance": f"{tolerance:g}",
        "step": step,
        "max_penalty": f"{max(5.0, 2 * rule.penalty):g}",
        "max_tolerance": f"{max(50 * step, 2 * tolerance):g}",
        "epoch_rule": rule.epoch_rule,
        "data": {
            "rule": told,
            "unit": {**asdict(unit), "name": unit.name},
            "allowed": study.allowed_epochs,
            "own": trials[0]["number"],
            "trials": trials,
        },
    }


def _provenance(study: StoredStudy) -> list[tuple[str, str]]:
    data, machine = study.data, study.machine
    made_of = f"{data.get('n_train')} training {study.examples}"
    rows = [
        ("model", study.model_path),
        ("data", f"{data['name']}, {made_of}" if "name" in data else None),
        ("data digest", study.data_digest),
        ("configuration digest", study.config_digest),
        ("versions", ", ".join(f"{name} {version}" for name, version in study.versions.items())),
        ("machine", f"{machine['cpu']}, {machine['n_cores']} cores" if machine else None),
        ("read-only", study.read_only),
    ]
    return [(name, str(value)) for name, value in rows if value]


def _number(value: Any, shown: str) -> Cell:
    return Cell(ABSENT) if is_missing(value) else Cell(shown, str(value))
