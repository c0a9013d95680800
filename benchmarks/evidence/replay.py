"""Replay sweeps on recorded draws: every rule chooses from the same trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from benchmarks.evidence.curves import Draw
from benchmarks.evidence.rules import RULES, Rule, Sweeps

N_SWEEPS: Final = 2000
N_TRIALS: Final = 30


def sweeps_of(draw: Draw, *, n_sweeps: int = N_SWEEPS, n_trials: int = N_TRIALS) -> Sweeps:
    """Return which configurations each sweep tries: some of the draw's, each at most once."""
    n = len(draw.n_weights)
    keys = np.random.default_rng((3, int(draw.header["draw"]))).random((n_sweeps, n))
    return np.argsort(keys, axis=1)[:, : min(n_trials, n)]


def replay(draw: Draw, rules: Mapping[str, Rule] = RULES) -> dict[str, dict[str, float]]:
    """Return each rule's outcomes in a draw: their means over its sweeps."""
    sweeps, outcomes = sweeps_of(draw), draw.outcomes()
    told = {}
    for name, rule in rules.items():
        chosen = rule(draw, sweeps, np.random.default_rng((5, int(draw.header["draw"]))))
        told[name] = {outcome: float(values[chosen].mean()) for outcome, values in outcomes.items()}
    return told


def replay_all(
    draws: Mapping[str, Sequence[Draw]], rules: Mapping[str, Rule] = RULES
) -> dict[str, list[dict[str, dict[str, float]]]]:
    """Return for each problem, draw and rule its outcomes."""
    return {problem: [replay(draw, rules) for draw in these] for problem, these in draws.items()}
