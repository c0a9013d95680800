"""Complete trials that are left out, told by another tool or too large now, and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fmnist_sweep.storage.attributes import ATTRIBUTES


def is_measured(attrs: Mapping[str, Any]) -> bool:
    """Return whether a complete trial's user attributes are a sweep's, and not what another tool leaves."""
    return attrs.keys() >= {*ATTRIBUTES}
