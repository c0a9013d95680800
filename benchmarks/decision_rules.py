"""What a rule of confirmation hands out, simulated: ``python -m benchmarks.decision_rules [--sweeps 2000]``.

Each scenario is a sweep of normal draws: how far true scores of configurations spread, how much one training
strays from them beyond what its split does to all alike, where among the configurations the baseline stands,
and the number of trials, all in points. The sweep scores each configuration once; the best of them and the
baseline are trained again, and each rule says what it hands out.

A part of the noise of a training comes from which images validate it. All repeats are drawn from the same
images, and the sweep's split is as well, so a share ``n_val / (n_val + n_train)`` of that part's variance is
the same in all of them, and no repeat can show it. How large the part is decides how far the intervals, which
take all of the noise for it, are on the safe side: `IMAGE_NOISE` is all noise that the dense net's
confirmation has, so at most that; 0 and all of it are printed as well.

Regret is how far the true score of what is handed out is below that of the best that the sweep drew.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import stats

from fmnist_sweep.analysis.decision import N_DUEL, N_SELECTING, DecisionRule
from fmnist_sweep.analysis.statistics import LEVEL, critical

SPREADS: Final = (0.35, 0.7, 1.4)
NOISES: Final = (0.15, 0.4, 0.85)
PERCENTILES: Final = (0.5, 0.75, 0.95)
TRIALS: Final = (30, 100)
IMAGE_NOISE: Final = 0.22
SPLIT_NOISE: Final = 0.4
N_VAL, N_TRAIN = 5_000, 55_000

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a sweep is drawn from, in points.

    Attributes:
        spread: Standard deviation of the true scores of configurations.
        noise: That of one training around its configuration, beyond the split's.
        percentile: Where the baseline's true score stands among those that could be drawn.
        n_trials: Configurations that the sweep draws.
        image_noise: At most so much of the noise is that of the images.
    """

    spread: float
    noise: float
    percentile: float
    n_trials: int
    image_noise: float = IMAGE_NOISE


@dataclass(frozen=True, slots=True)
class Sweeps:
    """Simulated sweeps, the baseline in column 0.

    Attributes:
        true: Shape ``(sweeps, 1 + trials)``, what each configuration is worth on images of this kind.
        here: Likewise, what it is worth on the images at hand.
        swept: What the sweep scored it.
        size: The logarithm to base 10 of its number of weights.
        noise: Standard deviation of a training around ``here``.
        generator: Draws the repeats.
    """

    true: Floats
    here: Floats
    swept: Floats
    size: Floats
    noise: float
    generator: np.random.Generator

    def best(self, k: int) -> Ints:
        """Return the columns of the baseline and of the ``k`` best by the sweep's score."""
        order = 1 + np.argsort(-self.swept[:, 1:], axis=1)[:, :k]
        return np.hstack([np.zeros((len(order), 1), dtype=np.int64), order])

    def repeats(self, columns: Ints, n: int) -> Floats:
        """Train columns ``n`` times: shape ``(sweeps, columns, n)``."""
        draw = self.generator.normal
        mean = np.take_along_axis(self.here, columns, axis=1)[:, :, None]
        shared = SPLIT_NOISE * draw(size=(len(columns), 1, n))
        return np.asarray(mean + shared + self.noise * draw(size=(*columns.shape, n)))


def simulated(scenario: Scenario, n: int, seed: int) -> Sweeps:
    """Draw ``n`` sweeps of a scenario."""
    generator = np.random.default_rng(seed)
    images = min(scenario.image_noise, scenario.noise)
    # What repeats on one pool of images have in common, after Nadeau and Bengio.
    common = images * math.sqrt(N_VAL / (N_VAL + N_TRAIN))
    own = math.sqrt(scenario.noise**2 - common**2)
    baseline = np.full((n, 1), scenario.spread * stats.norm.ppf(scenario.percentile))
    true = np.hstack([baseline, generator.normal(0, scenario.spread, (n, scenario.n_trials))])
    here = true + common * generator.normal(size=true.shape)
    swept = here + own * generator.normal(size=true.shape)
    return Sweeps(true, here, swept, generator.uniform(4.5, 5.5, true.shape), own, generator)


@dataclass(frozen=True, slots=True)
class Handed:
    """What a rule handed out, and what it claimed of its pick against the baseline.

    Attributes:
        columns: One for each sweep.
        pick: The columns that were compared with the baseline; None where nothing was claimed.
        low: Lower ends of the claimed differences.
        high: Their upper ends.
    """

    columns: Ints
    pick: Ints | None = None
    low: Floats | None = None
    high: Floats | None = None


def unconfirmed(sweeps: Sweeps) -> Handed:
    """The sweep's best, the default among its trials."""
    return Handed(sweeps.swept.argmax(axis=1))


def smallest_of_the_tied(sweeps: Sweeps) -> Handed:
    """The rule of earlier releases: three candidates, the default, five repeats, the smallest of the tied."""
    columns, n = sweeps.best(3), 5
    scores = sweeps.repeats(columns, n)
    sizes = np.take_along_axis(sweeps.size, columns, axis=1)
    return Handed(_chosen(columns, smallest_tied(scores, sizes)))


def smallest_tied(scores: Floats, sizes: Floats) -> Ints:
    """Return the place of the smallest that is tied with the best mean; sizes are logarithms to base 10."""
    n, means = scores.shape[2], scores.mean(axis=2)
    best = np.take_along_axis(scores, means.argmax(axis=1)[:, None, None], axis=1)
    behind = best - scores
    error = np.sqrt(behind.var(axis=2, ddof=1) * (1 / n + N_VAL / N_TRAIN))
    tied = behind.mean(axis=2) - critical((1 + LEVEL) / 2, n - 1) * error <= 0
    limit = np.where(tied, sizes, np.inf).min(axis=1, keepdims=True) + math.log10(1.1)
    places: Ints = np.where(tied & (sizes <= limit), means, -np.inf).argmax(axis=1)
    return places


def decided(rule: DecisionRule = DecisionRule(), k: int = 4, n: int = 5) -> Callable[[Sweeps], Handed]:  # noqa: B008
    """Return a rule of `fmnist_sweep.analysis.decision`, with ``k`` candidates and ``n`` repeats."""

    def hand_out(sweeps: Sweeps) -> Handed:
        columns = sweeps.best(k)
        scores = sweeps.repeats(columns, N_SELECTING if rule.thorough else n)
        sizes = np.take_along_axis(sweeps.size, columns, axis=1)
        place = pick(scores, sizes, rule)
        picks = _chosen(columns, place)
        if rule.thorough:
            columns = np.stack([np.zeros_like(picks), picks], axis=1)
            scores, place = sweeps.repeats(columns, N_DUEL), np.ones_like(picks)
        low, high, surer = compared(scores, place, rule.sure)
        return Handed(np.where(surer, picks, 0), picks, low, high)

    return hand_out


def pick(scores: Floats, sizes: Floats, rule: DecisionRule) -> Ints:
    """Return the place of each sweep's pick; the first one is the baseline's."""
    means = scores[:, 1:].mean(axis=2)
    if rule.prefer is None:
        best: Ints = 1 + means.argmax(axis=1)
        return best
    near = means.max(axis=1, keepdims=True) - means <= rule.within
    smallest: Ints = 1 + np.where(near, sizes[:, 1:], np.inf).argmin(axis=1)
    return smallest


def compared(scores: Floats, place: Ints, sure: float) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Return the interval of each pick's difference, and whether its chance is above ``sure``.

    It is `pooled_differences` of many sweeps at once.
    """
    _, rows, n = scores.shape
    means = scores.mean(axis=2)
    residuals = scores - means[:, :, None] - scores.mean(axis=1, keepdims=True)
    residuals += means.mean(axis=1)[:, None, None]
    df = (rows - 1) * (n - 1)
    error = np.sqrt(2 * (residuals**2).sum(axis=(1, 2)) / df * (1 / n + N_VAL / N_TRAIN))
    difference = means[np.arange(len(means)), place] - means[:, 0]
    tail = (1 - LEVEL) / 2
    low = difference - critical(1 - tail / (rows - 1), df) * error
    high = difference + critical(1 - tail, df) * error
    return low, high, difference > critical(sure, df) * error


def _chosen(columns: Ints, place: Ints) -> Ints:
    return np.take_along_axis(columns, place[:, None], axis=1)[:, 0]


RULES: Final[Mapping[str, Callable[[Sweeps], Handed]]] = {
    "no confirmation: the sweep's best": unconfirmed,
    "smallest of the tied (before)": smallest_of_the_tied,
    "best mean, baseline unless 80 % sure": decided(),
    "the same, `--prefer smallest`": decided(DecisionRule(prefer="smallest")),
    "`--thorough`": decided(DecisionRule(thorough=True)),
}
BEFORE: Final = "smallest of the tied (before)"
NOW: Final = "best mean, baseline unless 80 % sure"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule came to in a scenario.

    Attributes:
        regret: Mean regret, in points.
        worse: Share of sweeps in which what is handed out is truly worse than the baseline.
        covered: Share in which the interval holds the true difference; NaN without one.
        false: Share in which it lies above 0 and the pick is no better.
    """

    regret: float
    worse: float
    covered: float = math.nan
    false: float = math.nan


def outcome(sweeps: Sweeps, handed: Handed) -> Outcome:
    """Return what a rule came to over simulated sweeps of a scenario."""
    rows, true = np.arange(len(sweeps.true)), sweeps.true
    worth = true[rows, handed.columns]
    regret = float((true.max(axis=1) - worth).mean())
    worse = float((worth < true[:, 0]).mean())
    if handed.pick is None or handed.low is None or handed.high is None:
        return Outcome(regret, worse)
    difference = true[rows, handed.pick] - true[:, 0]
    covered = (handed.low <= difference) & (difference <= handed.high)
    false = (handed.low > 0) & (difference <= 0)
    return Outcome(regret, worse, float(covered.mean()), float(false.mean()))


def scenarios(image_noise: float = IMAGE_NOISE) -> list[Scenario]:
    """Return the grid."""
    grid = itertools.product(SPREADS, NOISES, PERCENTILES, TRIALS)
    return [Scenario(*values, image_noise=image_noise) for values in grid]


def measure(n: int, image_noise: float = IMAGE_NOISE) -> dict[str, list[tuple[Scenario, Outcome]]]:
    """Return what each rule comes to in each scenario, over ``n`` sweeps each, the same for all rules."""
    found: dict[str, list[tuple[Scenario, Outcome]]] = {name: [] for name in RULES}
    for seed, scenario in enumerate(scenarios(image_noise)):
        sweeps = simulated(scenario, n, seed)
        for name, rule in RULES.items():
            found[name].append((scenario, outcome(sweeps, rule(sweeps))))
    return found


def summary(found: Mapping[str, Sequence[tuple[Scenario, Outcome]]]) -> str:
    """Return a table in Markdown with a row for each rule: means over the scenarios, and the worst."""
    before = np.mean([o.regret for _, o in found[BEFORE]])
    lines = [
        "| rule | regret | of before | worse than the baseline | at worst | intervals cover | false claims |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, outcomes in found.items():
        regret, worse, covered, false = (
            np.array([getattr(o, field) for _, o in outcomes])
            for field in ("regret", "worse", "covered", "false")
        )
        claims = ["", ""]
        if not np.isnan(covered).any():
            claims = [
                f"{covered.mean():.1%} ({covered.min():.1%} to {covered.max():.1%})",
                f"{false.mean():.1%}, at most {false.max():.1%}",
            ]
        cells = [f"{regret.mean():.3f}", f"{regret.mean() / before:.2f}", f"{worse.mean():.1%}"]
        lines.append(f"| {' | '.join([name, *cells, f'{worse.max():.0%}', *claims])} |")
    return "\n".join(lines).replace("%", " %").replace("80  %", "80 %")


def by_noise(found: Mapping[str, Sequence[tuple[Scenario, Outcome]]]) -> str:
    """Return a table in Markdown, the two rules side by side: regret and worse, by spread and noise."""
    lines = [
        "| spread | noise | regret before | now | worse than the baseline before | now | now, at worst |",
        "|---|---|---|---|---|---|---|",
    ]
    for spread, noise in itertools.product(SPREADS, NOISES):
        old, new = (
            [o for s, o in found[name] if (s.spread, s.noise) == (spread, noise)] for name in (BEFORE, NOW)
        )
        regrets = [f"{np.mean([o.regret for o in rows]):.3f}" for rows in (old, new)]
        worse = [f"{np.mean([o.worse for o in rows]):.1%}" for rows in (old, new)]
        most = f"{max(o.worse for o in new):.0%}"
        lines.append(f"| {' | '.join([str(spread), str(noise), *regrets, *worse, most])} |")
    return "\n".join(lines).replace("%", " %")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=2000, metavar="N", help="sweeps of each scenario")
    n = parser.parse_args().sweeps
    found = measure(n)
    print(f"Of the noise, {IMAGE_NOISE} points at most are the images':\n")
    print(f"{summary(found)}\n\n{by_noise(found)}")
    for words, image_noise in (("none", 0.0), ("all", math.inf)):
        print(f"\nOf the noise, {words} is the images':\n\n{summary(measure(n, image_noise))}")


if __name__ == "__main__":
    main()
