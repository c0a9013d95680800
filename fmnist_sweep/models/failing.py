"""For which values a build fails, as few as tell it, from builds that failed and builds that did not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from fmnist_sweep.core.jobs import Hyperparameters, Scalar


@dataclass(frozen=True)
class FailingPart:
    """A part of a space whose models can't be built.

    Attributes:
        values: What its points have in common.
        problem: What the build raised.
        n_failed: How many builds of it failed.
    """

    values: Mapping[str, Scalar]
    problem: str
    n_failed: int

    def told(self, n_builds: int) -> str:
        """Return it in a line, for a note."""
        where = ", ".join(f"{name} {value}" for name, value in self.values.items())
        return (
            f"build fails for {where}: {self.problem} ({self.n_failed} of {n_builds} builds that were tried)"
        )


def failing_parts(
    failed: Sequence[tuple[Hyperparameters, str]],
    defaults: Hyperparameters,
    others: Callable[[str], Iterable[Scalar]],
    fails: Callable[[Hyperparameters], bool],
    *,
    most: int,
) -> list[FailingPart]:
    """Return what failed builds have in common, for at most ``most`` causes.

    Args:
        failed: The values of each failed build, with what it raised.
        defaults: Values with which the build does not fail.
        others: Gives a few values of a parameter.
        fails: Whether the build fails with some values, and defaults elsewhere.
        most: More parts are not looked for: each costs a few builds for each parameter.
    """
    parts: list[FailingPart] = []
    left = list(failed)
    while left and len(parts) < most:
        values, problem = left[0]
        cause = _cause(values, defaults, others, fails)
        # Never empty: the build that is explained is among them.
        of_it = [one for one in left if cause.items() <= one[0].items()] or left[:1]
        parts.append(FailingPart(cause, problem, len(of_it)))
        left = [one for one in left if one not in of_it]
    return parts


def _cause(
    values: Hyperparameters,
    defaults: Hyperparameters,
    others: Callable[[str], Iterable[Scalar]],
    fails: Callable[[Hyperparameters], bool],
) -> dict[str, Scalar]:
    """Return the values without which the build would not have failed."""
    cause = {name: value for name, value in values.items() if defaults[name] != value}
    for name in list(cause):
        without = {n: v for n, v in cause.items() if n != name}
        if without and fails(without):
            cause = without
    # A default may have its share in it.
    shared = {
        name: value
        for name, value in values.items()
        if name not in cause
        and any(other != value and not fails({**cause, name: other}) for other in others(name))
    }
    together = {**cause, **shared}
    return {name: value for name, value in values.items() if name in together}
