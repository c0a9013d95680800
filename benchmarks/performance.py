"""Writes ``docs/performance.md`` and its plots from ``benchmarks/results.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import pausing_page
from benchmarks.markdown import paragraph, table
from benchmarks.stats import Bar, limit, shown
from fmnist_sweep.engines.machine import described

BARS_FIELDS: Final = ("area", "what", "value", "limit", "sense", "unit", "spread", "note")
COMMANDS: Final = """\
    make bench                                   # all of it, well under 90 minutes on two cores
    make bench QUICK=1                           # ten minutes: fewer images, blocks and seeds
    python -m benchmarks.throughput              # one comparison by itself
    python -m benchmarks.breakdown
    python -m benchmarks.steps                   # other ways to take a training step, and what they cost
    python -m benchmarks.limits                  # what one core can do, and how much of it a step takes
    python -m benchmarks.own_fit                 # one call of a fit over Keras's own fit with validation
    python -m benchmarks.score_race --seeds 20
    python -m benchmarks.score_race --alternatives --quantile 0.99
    python -m benchmarks.whole_sweeps
    python -m benchmarks.pausing_race --recorded --keep recorded.jsonl --write   # not in make bench
    python -m benchmarks.pausing_race --keep drawn.jsonl --write   # under TPE: half an hour of a core
    python -m benchmarks.free_epochs
    python -m benchmarks.scaling
    python -m benchmarks.interactive
    python -m benchmarks.large_study             # each command on studies of 5,000 and 10,000 trials
    python -m benchmarks.record dense            # the table that the races run on; goes on where it was
"""

WHY_MISSED: Final = {
    ("scaling", "workers over one"): (
        "Two cores share a cache and the memory's bandwidth: an epoch takes longer beside another. The rest "
        "is what a worker waits between two trials."
    ),
    ("scaling", "overhead"): (
        "It goes into starting a process, building a net and its first prediction (see the parts of a "
        "trial) and into a checkpoint after each epoch; the first trial on each core also lays out the "
        "images that all later ones share. Not all of it is accounted for. Tried and left: steps without "
        "TensorFlow's graph optimiser, which save some hundredths of a second and change every curve's last "
        "bits; building a net before the fork, which starts TensorFlow's threads, and what is forked then "
        "hangs."
    ),
    ("scaling", "simulated"): (
        "Each epoch is a transaction in SQLite, and with every running trial the reads grow; the table on "
        "scaling has both."
    ),
    ("own fit", "one call"): (
        "After each epoch the training scores are measured on as many rows as validate, which takes a "
        "forward pass over them."
    ),
    ("throughput cnn", "trials an hour"): (
        "A CNN's seconds are small convolutions, which all contestants take alike. What is left to gain is "
        "the other core, and the last of a block's unequal trials leaves it idle for a while. Other steps "
        "that were tried stand below, and what an epoch by hand takes."
    ),
    ("throughput dense", "trials an hour"): (
        "Each block is short, and starting a process, which takes all of them as long, is a tenth of ours: "
        "without start-up the bar is met, or nearly."
    ),
    ("time to score", "hand grid"): (
        "The grid has no luck to wait for: on dense nets its fourth run is good enough. On CNNs it ends "
        "without ever arriving, and only its whole length counts."
    ),
    ("time to score", "cnn"): (
        "One random configuration in ten reaches this score, in the median the seventh: no search has "
        "learned anything by then, and what a peer loses are its epochs' seconds alone. The score that is "
        "hard to reach tells searches apart."
    ),
}
"""What stands behind a missed bar: by its area and a part of what it says, the first that fits."""


def bars_of(results: Mapping[str, Any]) -> list[Bar]:
    """Return the bars that a results file holds."""
    return [Bar(**{name: stored[name] for name in BARS_FIELDS}) for stored in results["bars"]]


def render(results: Mapping[str, Any]) -> str:
    """Return the page; equal results give equal pages."""
    parts = [
        "# Performance",
        "",
        *paragraph(
            "What `make bench` measured, side by side with what one would pick instead. Written from",
            "`benchmarks/results.json` by `benchmarks/performance.py`; not edited by hand. Competitors",
            "alternate block by block on the same machine, and every ratio is a median with its range over",
            "blocks or seeds.",
        ),
        "",
        *paragraph(
            described(results["machine"], results["versions"]),
            f"Written {results['date']}{', in the quick form' if results['quick'] else ''}.",
            *_dates(results),
        ),
        "",
        "## The bars",
        "",
        *_bars_table(bars_of(results)),
        "",
        *_missed(bars_of(results)),
    ]
    for section in (
        _throughput,
        _breakdown,
        _races,
        _harder_races,
        _alternatives,
        _whole_sweeps,
        pausing_page.section,
        _free_epochs,
        _scaling,
        _scripts,
        _skipped,
    ):
        parts += section(results)
    return "\n".join([*parts, "## Commands", "", COMMANDS])


def _dates(results: Mapping[str, Any]) -> list[str]:
    """Return when areas were measured by themselves, newest first; nothing where all were at once."""
    measured: Mapping[str, str] = results.get("measured", {})
    by_date: dict[str, list[str]] = {}
    for area, date in sorted(measured.items()):
        by_date.setdefault(date, []).append(area.replace("_", " "))
    if len(by_date) == 1 and measured.keys() >= results["seconds"].keys():
        return []
    return [f"Measured {date}: {', '.join(by_date[date])}." for date in sorted(by_date, reverse=True)]


def _bars_table(bars: Sequence[Bar]) -> list[str]:
    words = {True: "met", False: "**missed**", None: "not measured"}
    rows = [
        (
            bar.area,
            bar.what,
            shown(bar) if bar.value is not None else "-",
            limit(bar),
            words[bar.met],
            bar.note,
        )
        for bar in bars
    ]
    return table(("", "comparison", "measured", "bar", "", ""), rows)


def _missed(bars: Sequence[Bar]) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for bar in bars:
        if bar.met is False:
            fits = (why for (area, part), why in WHY_MISSED.items() if area == bar.area and part in bar.what)
            reasons.setdefault(next(fits, "Not looked into."), []).append(f"{bar.area}: {bar.what}")
    if not reasons:
        return []
    lines = [
        line for why, missed in reasons.items() for line in [*paragraph(f"*{'; '.join(missed)}*: {why}"), ""]
    ]
    return ["## What is missed, and why", "", *lines]


def _ratio(spread: Mapping[str, float]) -> str:
    return f"{spread['median']:.2f} ({spread['low']:.2f} to {spread['high']:.2f})"


def _throughput(results: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for told in results.get("throughput", []):
        images = "all 55,000" if told["train_size"] is None else f"{told['train_size']:,}"
        lines += [
            f"## Throughput: {told['model']}",
            "",
            *paragraph(
                f"{told['n_trials']} random configurations in {told['n_blocks']} blocks,",
                f"{told['epochs']} epochs each on {images} training images, the same seeds.",
                "A ratio is their wall-clock over ours.",
            ),
            "",
        ]
        rows = []
        for row in told["rows"]:
            has = "ratio" in row
            rows.append(
                (
                    row["title"],
                    f"{row['trials_an_hour']:.0f}",
                    f"{row['start_s']['median']:.1f}",
                    _ratio(row["ratio"]) if has else "1",
                    _ratio(row["ratio_without_start"]) if has else "1",
                    f"{row['accuracy_difference']:.4f} ({row['accuracy_bias']:+.4f})" if has else "-",
                )
            )
        head = ("", "trials an hour", "start (s)", "ours is faster by", "without start-up")
        lines += [*table((*head, "accuracies differ by (ours less theirs)"), rows), ""]
    if lines:
        lines += ["![Throughput](performance-throughput.svg)", ""]
    return lines


def _breakdown(results: Mapping[str, Any]) -> list[str]:
    told = results.get("breakdown", [])
    if not told:
        return []
    parts = list(told[0]["parts"])
    rows = [
        (part, *(f"{t['parts'][part]:.2f} ({t['parts'][part] / t['trial_s']:.1%})" for t in told))
        for part in parts
    ]
    rows.append(("all", *(f"{t['trial_s']:.2f}" for t in told)))
    head = ("seconds of a trial", *(f"{t['model']}, {t['epochs']} epochs" for t in told))
    return ["## Where a trial's seconds go", "", *table(head, rows), ""]


def _races(results: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for told in results.get("races", []):
        fidelity = told["fidelity"]
        lines += [
            f"## Time to score: {told['model']}",
            "",
            *paragraph(
                f"Seconds of virtual time until an epoch's score reaches {_target(told)};",
                f"{told['seeds']} seeds, a race ends after the time of {told['limit_trials']} trials.",
                f"Curves come from Gaussian processes over {told['n_configurations']} recorded trainings of",
                f"{told['epochs']} epochs (scores of held-out trainings: rank correlation",
                f"{fidelity['spearman']:.2f}, R2 {fidelity['r2']:.2f}).",
                "No method is given the model's default configuration.",
            ),
            "",
            *table(_RACE_HEAD, [_race_row(row) for row in told["rows"]]),
            "",
        ]
        if "rows_at_own_speed" in told:
            factors = ", ".join(f"{name} {factor:.2f}" for name, factor in told["slowness"].items())
            lines += [
                *paragraph(
                    "The same with each peer's epochs as long as its own training takes on this machine,",
                    f"from the throughput above (factors: {factors}):",
                ),
                "",
                *table(_RACE_HEAD, [_race_row(row) for row in told["rows_at_own_speed"]]),
                "",
            ]
    if lines:
        lines += ["![Time to score](performance-races.svg)", ""]
    return lines


def _target(told: Mapping[str, Any]) -> str:
    share = round(1 / (1 - told["quantile"]))
    return f"{told['target']:.4f}, which one in {share} random configurations reaches"


def _harder_races(results: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for told in results.get("harder_races", []):
        left_out = "".join(f" Left out: {name}, {reason}." for name, reason in told["skipped"].items())
        lines += [
            f"## Time to a score that is hard to reach: {told['model']}",
            "",
            *paragraph(
                f"The same, with equal epoch times, to {_target(told)}; {told['seeds']} seeds.{left_out}"
            ),
            "",
            *table(_RACE_HEAD, [_race_row(row) for row in told["rows"]]),
            "",
        ]
    return lines


_RACE_HEAD: Final = ("method", "median (s)", "quartiles (s)", "reached", "trials", "epochs", "over ours")


def _race_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    def seconds(value: float | None) -> str:
        return "never" if value is None else f"{value:.0f}"

    ratio = "-" if row["ratio"] is None else f"{'at least ' if row['at_least'] else ''}{row['ratio']:.1f}"
    return (
        row["name"],
        seconds(row["median_s"]),
        " to ".join(map(seconds, row["quartiles_s"])),
        f"{row['reached']} of {row['n']}",
        f"{row['n_trials']:.0f}",
        f"{row['n_epochs']:.0f}",
        ratio,
    )


def _alternatives(results: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for told in results.get("alternatives", []):
        lines += [
            f"## What was tried: {told['model']}",
            "",
            *paragraph(
                "TPE with every pruner and every sampler with the median pruner, in our own loop, racing to",
                f"{_target(told)}; `ours` is the sweep file as it stands. Patience is that of the sweep file",
                "throughout.",
            ),
            "",
            *table(_RACE_HEAD, [_race_row(row) for row in told["rows"]]),
            "",
        ]
    return lines


def _whole_sweeps(results: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for told in results.get("whole_sweeps", []):
        rows = [
            (
                row["name"],
                f"{row['score']:.4f} ± {row['score_error']:.4f}",
                f"{row['seconds']:.0f}",
                f"{row['epochs']:.0f}",
            )
            for row in told["rows"]
        ]
        lines += [
            f"## What thirty trials give: {told['model']}",
            "",
            *paragraph(
                "Whole sweeps of the sweep file under each pruner, two workers, in virtual time: means over",
                f"{told['rows'][0]['n']} seeds, and the standard error of the mean.",
            ),
            "",
            *table(("pruner", "best score", "seconds", "epochs"), rows),
            "",
        ]
    return lines


def _free_epochs(results: Mapping[str, Any]) -> list[str]:
    told = results.get("free_epochs")
    if told is None:
        return []
    equal = "bit for bit that of" if told["equal"] else "NOT that of"
    return [
        "## Epochs for free",
        "",
        *paragraph(
            f"One configuration asked for {', '.join(map(str, told['grid']))} epochs, and the last of these",
            f"once more: {told['asked']} epochs asked for, {told['trained']} trained,",
            f"{told['saved']} saved by reuse.",
            f"The curve of the longest is {equal} an uninterrupted run.",
        ),
        "",
    ]


def _scaling(results: Mapping[str, Any]) -> list[str]:
    told = results.get("parent")
    if not told:
        return []
    rows = [
        (
            f"{row['n_workers']:,.0f}",
            f"{row['ms_an_event']:.1f}",
            f"{row['ms_in_storage']:.1f}",
            f"{row['saturates_at']:,.0f}",
        )
        for row in told
    ]
    head = ("simulated workers", "parent's ms an event", "of it in SQLite", "workers that keep it busy")
    return [
        "## Scaling",
        "",
        *paragraph(
            "The real search loop on an SQLite storage with scripted workers, a random sampler and no",
            "pruner; the last column is for dense epochs of 2.5 s, each of which is an event. For TPE,",
            "PostgreSQL and 10,000 trials see [clusters](cluster.md#how-many-workers-one-parent-keeps-busy).",
        ),
        "",
        *table(head, rows),
        "",
    ]


def _scripts(results: Mapping[str, Any]) -> list[str]:
    scripts: Mapping[str, str] = results.get("scripts", {})
    lines: list[str] = []
    for name, printed in scripts.items():
        lines += [f"## {name}", "", *(f"    {line}" for line in printed.strip().splitlines()), ""]
    return lines


def _skipped(results: Mapping[str, Any]) -> list[str]:
    skipped: Mapping[str, str] = results.get("skipped", {})
    if not skipped:
        return []
    return ["## Not measured", "", *(f"- {name}: {reason}" for name, reason in skipped.items()), ""]


def write(results: Mapping[str, Any], folder: Path) -> Path:
    """Write the page and its plots into a folder, and return the page's path."""
    path = folder / "performance.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(results), encoding="utf-8")
    # It takes a second to load, and the page alone is rendered without it.
    from benchmarks.plots import draw

    draw(results, folder)
    return path
