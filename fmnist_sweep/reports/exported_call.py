"""What was exported, in words and tables: of images in accuracy, else in the metric of the score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.core.wording import ABSENT, Unit, show_interval
from fmnist_sweep.storage.stored import StoredStudy

PARTS: Final[Mapping[str, str]] = {"train": "training", "val": "validation", "test": "test"}


def is_of_images(kept: Mapping[str, Any]) -> bool:
    """Return whether a bundle is of images with class numbers: it has accuracies, whatever was scored."""
    return kept.get("form") != "call"


def _unit(kept: Mapping[str, Any]) -> Unit:
    return UNITS["accuracy" if is_of_images(kept) else kept["metric"]]


def _test(kept: Mapping[str, Any]) -> str:
    return "test set" if is_of_images(kept) else "test part"


def shown_metrics(kept: Mapping[str, Any]) -> list[str]:
    """Return the metric of the score and, where it was measured, the loss.

    Args:
        kept: What a bundle's ``metrics.json`` holds, or what the study keeps of it.
    """
    others = [n for n in ("cross_entropy", "loss") if n != kept["metric"] and n in kept["measured"]["val"]]
    return [kept["metric"], *others[:1]]


def export_words(study: StoredStudy, kept: Mapping[str, Any]) -> list[str]:
    """Return what came of an export, in sentences."""
    mean, n, unit, test = kept["mean"], len(kept["seeds"]), _unit(kept), _test(kept)
    if kept.get("fast"):
        return _fast_words(kept)
    over = f"Over {n} trainings" if n > 1 else "In one training"
    what = "The model's default" if kept["trial"] is None else f"Trial {kept['trial']}"
    sentences = [
        f"{what}, {'confirmed' if kept['confirmed'] else 'unconfirmed'}, {kept['epochs']} epochs.",
        f"{over} with fresh seeds: validation {unit.name} {show_interval(mean[f'val_{unit.metric}'], unit)}.",
        f"Gap to validation {show_interval(mean['gap_to_val'], unit, gap=True)}.",
    ]
    if kept.get("flip_average"):
        sentences.append("These numbers are of the mean over each image and its mirror image.")
    if f"test_{unit.metric}" in mean:
        times = "once" if len(study.readings) == 1 else f"{len(study.readings)} times"
        gap = show_interval(mean["gap_to_test"], unit, gap=True)
        sentences += [
            f"Test {unit.name} {show_interval(mean[f'test_{unit.metric}'], unit)}, gap to test {gap}.",
            f"The {test} was read {times}.",
        ]
    elif is_of_images(kept):
        sentences.append("The data set has no test images.")
    else:
        sentences.append(f"No {test} was read: {kept['untested']}.")
    return [*sentences, *beside_words(kept)]


def _fast_words(kept: Mapping[str, Any]) -> list[str]:
    mean, unit = kept["mean"], _unit(kept)
    reached = unit.show(mean[f"val_{unit.metric}"]["mean"])
    gap = unit.show(mean["gap_to_val"]["mean"], gap=True)
    what = f"Trial {kept['trial']} with the weights that it had after epoch {kept['epochs']}"
    return [
        f"{what}, trained on the training part alone: validation {unit.name} {reached}, gap {gap}.",
        f"Nothing was trained or confirmed, and the {_test(kept)} was not read.",
    ]


def beside_words(kept: Mapping[str, Any]) -> list[str]:
    """Return what was measured of the other one of winner and baseline, in sentences; none without one.

    Args:
        kept: What a bundle's ``metrics.json`` holds, or what the study keeps of it.
    """
    beside = kept.get("beside")
    if beside is None:
        return []
    unit = _unit(kept)
    part = "test" if f"test_{unit.metric}" in beside["difference"] else "val"
    reached = show_interval(beside["mean"][f"{part}_{unit.metric}"], unit)
    apart = show_interval(beside["difference"][f"{part}_{unit.metric}"], unit, gap=True, signed=True)
    read = f", in the same reading of the {_test(kept)}" if part == "test" else ""
    name = f"{beside['name'][0].upper()}{beside['name'][1:]}"
    trained = f"{name}, trained beside it from the same seeds for {beside['epochs']} epochs"
    return [
        f"{trained}, reaches {PARTS[part]} {unit.name} {reached}{read}.",
        f"What is handed out differs from that by {apart}, seed by seed.",
    ]


def export_columns(kept: Mapping[str, Any]) -> list[str]:
    """Return the titles of the columns of `export_table`."""
    unit = UNITS[kept["metric"]]
    others = [f"{UNITS[name].name} over the seeds" for name in shown_metrics(kept)[1:]]
    return ["part", f"{unit.name} of the exported model", f"{unit.name} over the seeds", *others]


def export_table(kept: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a row for each part and each gap, as `export_columns` says."""
    mean, measured, names = kept["mean"], kept["measured"], shown_metrics(kept)
    unit, rows = UNITS[kept["metric"]], []
    for part, title in PARTS.items():
        if part in measured:
            cells = [
                show_interval(mean[f"{part}_{n}"], UNITS[n]) if f"{part}_{n}" in mean else ABSENT
                for n in names
            ]
            rows.append((title, unit.show(measured[part].get(unit.metric)), *cells))
    for part in ("val", "test"):
        if f"gap_to_{part}" in mean:
            over = show_interval(mean[f"gap_to_{part}"], unit, gap=True)
            rows.append((f"gap to {PARTS[part]}", "", over, *("" for _ in names[1:])))
    return rows


def bundle_columns(kept: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the titles of the columns of `bundle_numbers`."""
    name = _unit(kept).name
    return f"validation {name}", f"test {name}", "gap to test"


def bundle_numbers(kept: Mapping[str, Any], mean: Mapping[str, Any]) -> list[str]:
    """Return the means over the seeds of one bundle of a study, as `bundle_columns` says."""
    unit = _unit(kept)
    named = (f"val_{unit.metric}", f"test_{unit.metric}", "gap_to_test")
    return [
        show_interval(mean[name], unit, gap=name.startswith("gap")) if name in mean else ABSENT
        for name in named
    ]
