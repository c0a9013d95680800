"""The samplers that a sweep file can name; those whose package is missing here are skipped."""

from __future__ import annotations

import importlib.util

import pytest

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch, which the gp sampler needs, is not installed"
)
SAMPLERS = ["tpe", "random", "cmaes", "qmc", "grid", pytest.param("gp", marks=needs_torch)]
