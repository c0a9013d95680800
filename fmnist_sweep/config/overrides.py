"""Settings of a command line that go before those of a sweep file."""

from __future__ import annotations

from datetime import date, time
from typing import Any, Final

from fmnist_sweep.config.toml_text import TomlTextError, parse_toml

_MAX_SHOWN: Final = 80


def apply_override(settings: dict[str, Any], override: str) -> list[str]:
    """Put one setting in place of the file's, and return what is wrong with it, a line each.

    Args:
        settings: As a sweep file has them; changed in place.
        override: ``"section.key=value"``, the value as TOML writes it; what is no TOML is taken as text.

    Example:
        >>> settings = {"budget": {"trials": 30}}
        >>> apply_override(settings, "budget.trials=5"), settings
        ([], {'budget': {'trials': 5}})
    """
    key, sign, text = override.partition("=")
    parts = [part.strip() for part in key.split(".")]
    told = override if len(override) <= _MAX_SHOWN else f"{override[:_MAX_SHOWN]}..."
    if not sign or not all(parts):
        return [f"--set {told}: write it as section.key=value, such as score.penalty=2"]
    try:
        value = parse_toml(f"value = {text}")["value"]
    except TomlTextError:
        value = text.strip()
    if isinstance(value, date | time):
        # No setting is a date, but a study's name can look like one.
        value = text.strip()
    table = settings
    for part in parts[:-1]:
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            return [f"--set {told}: {part} is a value, not a section"]
        table = inner
    table[parts[-1]] = value
    return []
