"""Replay every rule and fill the page: ``python -m benchmarks.evidence.report``, or ``make evidence``.

Writes the tables of ``docs/evidence.md`` between their marks, and ``docs/evidence.svg``. The words around
them are written by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from benchmarks.evidence.curves import Draw, read_draws
from benchmarks.evidence.decision import LEAST_DRAWS, decided, verdicts
from benchmarks.evidence.effects import Replayed, differences, effect, holm, sign_flips, t_test
from benchmarks.evidence.power import draws_wanted, seen
from benchmarks.evidence.problems import PROBLEMS
from benchmarks.evidence.replay import replay, replay_all
from benchmarks.evidence.rules import CROSS_ENTROPY, PENALTIES, PENALTY_1, PLAIN, RULES
from benchmarks.evidence.search import PENALTIES as SEARCHED
from benchmarks.evidence.search import read_searches
from benchmarks.evidence.stored import N_EPOCHS, stored_draws
from benchmarks.workload import ROOT
from fmnist_sweep.analysis.statistics import Interval, interval

PAGE: Final = ROOT / "docs" / "evidence.md"
FIGURE: Final = ROOT / "docs" / "evidence.svg"
PRIMARY: Final = ("dense-500", "dense-2000", "dense-10000", "dense-55000")
SHOWN: Final = {
    PENALTY_1: "#d55e00",
    "penalty 0.25, tolerance 0.01": "#e69f00",
    "penalty 1, the default's gap": "#cc79a7",
    CROSS_ENTROPY: "#0072b2",
    "smallest cross-entropy within 0.25 errors": "#009e73",
    "smallest gap within 0.5 errors": "#808691",
}
"""Rules that the figure and the table of outcomes show, with their colours."""

AT_FULL_SIZE: Final = (
    *(f"penalty {penalty:g}, tolerance 0.01" for penalty in PENALTIES),
    CROSS_ENTROPY,
    "smallest cross-entropy within 0.25 errors",
    "smallest gap within 0.5 errors",
)


def main() -> None:
    """Replay, and write the page."""
    draws = read_draws()
    replayed = replay_all(draws)
    ordered: dict[str, Replayed] = {name: replayed[name] for name in PROBLEMS if name in replayed}
    tables = {
        "recorded": recorded({name: draws[name] for name in ordered}, ordered),
        "primary": primary(ordered),
        "accuracy": rules_table(ordered, "test", 100),
        "log loss": rules_table(ordered, "log_loss", 1),
        "outcomes": outcomes(ordered),
        "decision": decision(ordered),
        "stored": stored_table({model: stored_draws(model) for model in N_EPOCHS}),
        "search": searches(read_searches()),
    }
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), tables), encoding="utf-8")
    with mpl.rc_context({"svg.hashsalt": "fmnist-sweep", "font.size": 10}):
        figure(ordered).savefig(FIGURE, metadata={"Date": None}, bbox_inches="tight")
    print(f"{sum(map(len, ordered.values()))} draws replayed; wrote {PAGE} and {FIGURE}")


def filled(page: str, tables: Mapping[str, str]) -> str:
    """Return the page with each table between its marks.

    Raises:
        ValueError: The page has no marks for a table.

    Example:
        >>> filled("<!-- a -->old<!-- end of a -->", {"a": "new"}).splitlines()
        ['<!-- a -->', '', 'new', '', '<!-- end of a -->']
    """
    for name, table in tables.items():
        marks = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, begun, rest = page.partition(marks[0])
        _, ended, after = rest.partition(marks[1])
        if not (begun and ended):
            raise ValueError(f"the page has no {marks[0]} ... {marks[1]}")
        page = f"{before}{begun}\n\n{table}\n\n{ended}{after}"
    return page


def recorded(draws: Mapping[str, Sequence[Draw]], replayed: Mapping[str, Replayed]) -> str:
    """Return what was recorded, and how far it reaches."""
    rows = []
    for name, these in draws.items():
        header, values = these[0].header, differences(replayed[name], PENALTY_1, "test")
        spread = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
        known = spread > 0
        rows.append(
            (
                name,
                f"{header['n_train']:,} / {header['n_val']:,} / {header['n_test']:,}",
                str(len(these)),
                f"{100 * spread:.2f}" if known else "-",
                str(draws_wanted(spread)) if known else "-",
                f"{100 * seen(spread, len(these)):.2f}" if known else "-",
            )
        )
    head = (
        "problem",
        "train / validation / test",
        "draws",
        "spread",
        "draws wanted for 0.3",
        "seen with these draws",
    )
    return markdown(head, rows)


def primary(replayed: Mapping[str, Replayed]) -> str:
    """Return the primary test: penalty 1 against plain, test accuracy."""
    values = {name: differences(replayed[name], PENALTY_1, "test") for name in PRIMARY if name in replayed}
    corrected = holm({name: t_test(these) for name, these in values.items()})
    rows = [
        (
            name,
            str(len(these)),
            points(effect(replayed[name], PENALTY_1, "test")),
            p_value(t_test(these)),
            p_value(corrected[name]),
            p_value(sign_flips(these)) if len(these) > 1 else "-",
            f"{(these < 0).sum()} of {len(these)}",
        )
        for name, these in values.items()
    ]
    head = ("problem", "draws", "points of test accuracy", "t-test", "Holm", "sign flips", "draws that lose")
    return markdown(head, rows)


def rules_table(replayed: Mapping[str, Replayed], outcome: str, scale: float) -> str:
    """Return each rule's effect against plain, problem by problem."""
    rows = [
        (rule, *(points(effect(these, rule, outcome), scale, short=True) for these in replayed.values()))
        for rule in RULES
        if rule != PLAIN
    ]
    return markdown(("rule", *replayed), rows)


def stored_table(draws: Mapping[str, Sequence[Draw]]) -> str:
    """Return what some rules change at full size, by the stored reference studies."""
    rules = {name: RULES[name] for name in (PLAIN, *AT_FULL_SIZE)}
    replayed = {model: [replay(draw, rules) for draw in these] for model, these in draws.items()}
    rows = [
        (
            rule,
            *(points(effect(these, rule, "test")) for these in replayed.values()),
            *(points(effect(these, rule, "log_loss"), 1) for these in replayed.values()),
        )
        for rule in AT_FULL_SIZE
    ]
    head = ("rule", *(f"{model}, points" for model in draws), *(f"{model}, log loss" for model in draws))
    return markdown(head, rows)


def outcomes(replayed: Mapping[str, Replayed]) -> str:
    """Return what the shown rules end with: means over draws, not differences."""
    rows = []
    for name, these in replayed.items():
        for rule in (PLAIN, *SHOWN):
            means = {key: float(np.mean([told[rule][key] for told in these])) for key in these[0][rule]}
            is_classes = "ece" in means
            rows.append(
                (
                    name,
                    rule,
                    f"{100 * means['test']:.1f} %" if is_classes else f"{-means['test']:.3f}",
                    f"{means['log_loss']:.3f}",
                    f"{means['ece']:.3f}" if is_classes else "-",
                    f"{100 * means['gap']:.1f}",
                    f"{means['weights']:,.0f}",
                    f"{means['epoch']:.1f}",
                )
            )
    head = ("problem", "rule", "test", "test log loss", "ece", "gap to test", "weights", "epoch")
    return markdown(head, rows)


def decision(replayed: Mapping[str, Replayed]) -> str:
    """Return what each rule costs at worst, what it gains, and what follows."""
    found = verdicts(replayed)
    rows = [
        (
            verdict.rule,
            "-" if np.isnan(verdict.cost) else f"{100 * verdict.cost:+.2f}",
            "-" if np.isnan(verdict.cost) else f"{100 * verdict.upper_cost:+.2f}",
            f"{100 * verdict.few_cost:+.2f}",
            f"{verdict.gain:+.3f}",
            "yes" if verdict.passes else "no",
        )
        for verdict in found
    ]
    head = (
        "rule",
        f"worst cost, problems with {LEAST_DRAWS} draws or more",
        "its upper end",
        "worst cost elsewhere",
        "log loss gained",
        "passes",
    )
    return f"{markdown(head, rows)}\n\nBy the plan: {decided(found)}."


def searches(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the real searches: what each seed handed out with and without the penalty."""
    by_seed: dict[int, dict[float, Mapping[str, Any]]] = {}
    for told in found:
        by_seed.setdefault(told["seed"], {})[told["penalty"]] = told
    pairs = [both for both in by_seed.values() if set(both) == set(SEARCHED)]
    rows = []
    outcomes = {
        "test accuracy, points": ("test_accuracy", 100, 2),
        "test log loss": ("test_cross_entropy", 1, 3),
        "expected calibration error": ("test_ece", 1, 3),
        "gap to validation, points": ("gap", 100, 2),
        "weights": ("n_weights", 1, 0),
        "epoch": ("epoch", 1, 1),
        "trials pruned": ("n_pruned", 1, 1),
    }
    for title, (key, scale, decimals) in outcomes.items():
        without, with_it = (np.array([scale * both[p][key] for both in pairs]) for p in SEARCHED)
        if not len(without):
            continue
        change = interval(with_it - without, n_val=0, n_train=1)
        means = (f"{without.mean():,.{decimals}f}", f"{with_it.mean():,.{decimals}f}")
        rows.append((title, *means, points(change, 1, decimals=decimals)))
    head = (f"{len(pairs)} seeds, means", "penalty 0", "penalty 1", "difference (95 %)")
    return markdown(head, rows)


def points(found: Interval, scale: float = 100, *, short: bool = False, decimals: int | None = None) -> str:
    """Return an effect with its interval, in points or in the outcome's own unit."""
    decimals = (2 if scale == 100 else 3) if decimals is None else decimals
    mean, low, high = (f"{scale * end:+,.{decimals}f}" for end in (found.mean, found.low, found.high))
    if np.isnan(found.low):
        return mean
    if short:
        return f"{mean} ±{scale * (found.high - found.mean):.{decimals}f}"
    return f"{mean} ({low} to {high})"


def p_value(p: float) -> str:
    """Return a p-value for people."""
    return "-" if np.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def figure(replayed: Mapping[str, Replayed]) -> Figure:
    """Draw the effects of the shown rules at every size."""
    drawn = Figure(figsize=(11, 7.5))
    panels = {"test": ("test accuracy against plain, points\n(diabetes: hundredths of mae)", 100.0)}
    panels["log_loss"] = ("test log loss against plain\n(diabetes: squared error)", 1.0)
    names = list(replayed)
    for axis, (outcome, (title, scale)) in zip(
        drawn.subplots(2, 1, sharex=True), panels.items(), strict=True
    ):
        for i, (rule, colour) in enumerate(SHOWN.items()):
            found = [effect(these, rule, outcome) for these in replayed.values()]
            x = np.arange(len(names)) + (i - (len(SHOWN) - 1) / 2) * 0.12
            y = np.array([scale * one.mean for one in found])
            reach = np.nan_to_num([scale * (one.high - one.mean) for one in found])
            axis.errorbar(x, y, yerr=reach, fmt="o", markersize=4, color=colour, capsize=2, label=rule)
        axis.axhline(0, color="#808691", linewidth=1)
        axis.set_ylabel(title)
        axis.set_yscale("symlog", linthresh=2 if outcome == "test" else 0.1)
        axis.yaxis.set_major_formatter(ScalarFormatter())
        axis.grid(axis="y", alpha=0.3)
    axis.set_xticks(range(len(names)), [f"{name}\n{len(these)} draws" for name, these in replayed.items()])
    axis.tick_params(axis="x", labelsize=7)
    drawn.axes[0].legend(fontsize=8, ncols=2)
    drawn.tight_layout()
    return drawn


if __name__ == "__main__":
    main()
