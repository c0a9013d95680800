"""What was exported from a study, in words, tables and figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import plotly.graph_objects as go

from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.core.wording import show_interval
from fmnist_sweep.reports import exported_call
from fmnist_sweep.reports.exported_call import (
    PARTS,
    bundle_columns,
    bundle_numbers,
    export_words,
    is_of_images,
)
from fmnist_sweep.reports.figures import curve_figure
from fmnist_sweep.reports.page_table import text_table
from fmnist_sweep.reports.style import TEMPLATE
from fmnist_sweep.storage.stored import StoredStudy

_BUNDLE: Final = ("bundle", "configuration", "epochs")
_CELL_PX: Final = 44
_FEW_CLASSES: Final = 12


def exported_section(study: StoredStudy, key: str, figures: dict[str, go.Figure]) -> dict[str, Any] | None:
    """Return what the page shows of a study's last bundle, its figures added; None without one."""
    kept = study.export
    if kept is None:
        return None
    of_images = is_of_images(kept)
    curve, parts = export_curve(study, kept), list(kept["confusion"])
    figures[f"{key}-export-curve"] = curve
    matrices = []
    # The one that matters most is what the page opens with.
    for i, part in enumerate(reversed(parts)):
        name = f"{key}-confusion" if i == 0 else f"{key}-confusion-{part}"
        figures[name] = confusion_figure(kept, part)
        matrices.append({"figure": name, "label": figures[name].layout.title.text.partition(", ")[2]})
    titles = [
        "",
        "images",
        "accuracy of the exported model",
        "accuracy over the seeds",
        "cross-entropy over the seeds",
    ]
    table = text_table(titles, export_table(kept)) if of_images else None
    return {
        "words": export_words(study, kept),
        "bundles": text_table([*_BUNDLE, *bundle_columns(kept), "written (UTC)"], bundle_rows(study, kept)),
        "table": table or text_table(exported_call.export_columns(kept), exported_call.export_table(kept)),
        "of": "images" if of_images else "rows",
        "curve_title": curve.layout.title.text,
        "matrices": matrices,
        "readings": [
            {"when": reading["when"], "what": reading["what"], "reason": reading["reason"]}
            for reading in study.readings
        ],
    }


def bundle_entry(folder: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a study keeps of each of its bundles.

    Args:
        folder: The bundle, as its path was given.
        facts: What its ``metrics.json`` holds.
    """
    return {
        "folder": folder,
        **{name: facts[name] for name in ("trial", "confirmed", "epochs", "mean", "written")},
    }


def bundle_rows(study: StoredStudy, kept: Mapping[str, Any]) -> list[list[str]]:
    """Return a row for each bundle of a study, the last one first; accuracies are means over the seeds."""
    # Of a bundle of an earlier version no more is kept than of the last one.
    entries = study.bundles or [{"folder": kept["name"], **kept}]
    rows = []
    for entry in reversed(entries):
        which = "the default" if entry["trial"] is None else f"trial {entry['trial']}"
        numbers = bundle_numbers(kept, entry["mean"])
        how = "confirmed" if entry["confirmed"] else "unconfirmed"
        written = entry["written"][:16].replace("T", " ")
        rows.append([entry["folder"], f"{which}, {how}", str(entry["epochs"]), *numbers, written])
    return rows


def export_table(kept: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Return a row for each part and each gap.

    Returns:
        Part, images, accuracy of the exported model, accuracy over the seeds, cross-entropy over the seeds.
    """
    unit, rows = UNITS["accuracy"], []
    model, mean = kept["model"], kept["mean"]
    for part, name in PARTS.items():
        if part in model:
            own = {"mean": model[part]["accuracy"], "interval_95": model[part]["accuracy_95"]}
            seeds = show_interval(mean[f"{part}_accuracy"], unit)
            entropy = show_interval(mean[f"{part}_cross_entropy"], UNITS["cross_entropy"])
            rows.append((name, f"{model[part]['n']:,}", show_interval(own, unit), seeds, entropy))
    for part in ("val", "test"):
        if part in model:
            gap = model[f"gap_to_{part}"]
            seeds = show_interval(mean[f"gap_to_{part}"], unit, gap=True)
            rows.append((f"gap to {PARTS[part]}", "", unit.show(gap, gap=True), seeds, ""))
    return rows


def export_curve(study: StoredStudy, kept: Mapping[str, Any]) -> go.Figure:
    """Return the learning curve of the model that was handed out."""
    curve = LearningCurve.from_attribute(kept["curve"])
    title = f"Learning curve of the exported model (seed {kept['seeds'][0]})"
    return curve_figure(curve, study.rule, title=title)


def confusion_figure(kept: Mapping[str, Any], part: str) -> go.Figure:
    """Return a confusion matrix: actual classes in rows, predicted in columns.

    Args:
        kept: As `StoredStudy.export` gives it.
        part: ``"train"``, ``"val"`` or ``"test"``.
    """
    names, counts = list(kept["class_names"]), kept["confusion"][part]
    shares = [[100 * n / max(1, sum(row)) for n in row] for row in counts]
    few = len(names) <= _FEW_CLASSES
    texts = [
        [f"{n:,}<br>{share:.1f} %" if n else "" for n, share in zip(row, row_shares, strict=True)]
        for row, row_shares in zip(counts, shares, strict=True)
    ]
    right, n_all = sum(row[i] for i, row in enumerate(counts)), sum(map(sum, counts))
    figure = go.Figure(
        go.Heatmap(
            # The square root lets mistakes of a few per cent be seen beside the diagonal.
            z=[[round((share / 100) ** 0.5, 4) for share in row] for row in shares],
            x=names,
            y=names,
            text=texts,
            customdata=[[round(share, 2) for share in row] for row in shares],
            texttemplate="%{text}" if few else None,
            textfont={"size": 10},
            hovertemplate="actual %{y}<br>predicted %{x}<br>%{text}<extra></extra>",
            colorscale=[[0.0, "rgba(0,114,178,0.03)"], [1.0, "rgba(0,114,178,0.85)"]],
            zmin=0,
            zmax=1,
            showscale=False,
            xgap=1,
            ygap=1,
        )
    )
    what = "rows" if kept.get("form") == "call" else "images"
    title = f"Confusion matrix, {PARTS[part]} {what}: {100 * right / n_all:.2f} % of {n_all:,} right"
    figure.update_layout(
        template=TEMPLATE,
        title={"text": title},
        height=130 + _CELL_PX * min(len(names), 2 * _FEW_CLASSES),
        xaxis={"title": {"text": "predicted"}, "showgrid": False, "tickangle": -40, "type": "category"},
        yaxis={
            "title": {"text": "actual"},
            "showgrid": False,
            "autorange": "reversed",
            "type": "category",
        },
    )
    return figure
