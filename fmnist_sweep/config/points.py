"""The points that a sampler tries one by one: those that a sweep file lists, or all of a finite space."""

from __future__ import annotations

import json

from fmnist_sweep.config.schema import PointsSection, SamplerSection
from fmnist_sweep.core.jobs import Hyperparameters, Scalar
from fmnist_sweep.core.space import SearchSpace


def all_points(space: SearchSpace, section: SamplerSection) -> list[dict[str, Scalar]]:
    """Return the points of a sampled space that are tried, in order; there is a finite number of them."""
    if isinstance(section, PointsSection):
        return [_point(space, given) for given in section.points]
    return list(space.points())


def n_points(space: SearchSpace, section: SamplerSection) -> float:
    """Return how many distinct points there are to try; ``inf`` where a parameter is continuous."""
    return len(section.points) if isinstance(section, PointsSection) else space.size


def points_problems(space: SearchSpace, section: SamplerSection) -> list[str]:
    """Return what keeps the listed points from being distinct points of the space, a line each."""
    if not isinstance(section, PointsSection):
        return []
    problems: list[str] = []
    before: dict[str, int] = {}
    for i, given in enumerate(section.points):
        where = f"sampler.points[{i}]"
        try:
            point = _point(space, given)
        except KeyError as error:
            what = f"{error.args[0]} is missing; a point names all that the space leaves open"
            problems.append(f"{where}: {what}")
            continue
        unknown = [name for name in given if name not in point]
        wrong = [n for n, v in point.items() if not space[n].contains(given.get(n, v))]
        problems += [f"{where}: {name} is no parameter of this point; drop it" for name in unknown]
        problems += [f"{where}: {name} can't be {given[name]!r} in the space" for name in wrong]
        first = before.setdefault(json.dumps(point, sort_keys=True), i)
        if first != i:
            problems.append(f"{where}: is the same as sampler.points[{first}]; name each one once")
    return problems


def _point(space: SearchSpace, given: Hyperparameters) -> dict[str, Scalar]:
    """Return the point at which the parameters that the space leaves open have the given values."""
    return space.fill(lambda name, _: given[name])
