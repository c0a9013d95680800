"""Schema errors in plain words: where, what was given, what is allowed, how to mend it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from fmnist_sweep.core.errors import did_you_mean
from fmnist_sweep.core.files import STUDY_NAME_WORDS
from fmnist_sweep.core.wording import shown

_LONGEST_NAME: Final = 100
_MOST_LINES: Final = 100

_MUST_BE: Final = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a text in quotes",
    "dict_type": "a table of settings",
    "model_type": "a table of settings",
    "model_attributes_type": 'a table such as {{ type = "float", low = 0, high = 1 }}, or one fixed value',
    "tuple_type": "a list in brackets",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "string_too_long": "a text of at most {max_length} characters",
    "greater_than_equal": "at least {ge}",
    "greater_than": "above {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "below {lt}",
}


def describe(error: ValidationError, schema: type[BaseModel]) -> list[str]:
    """Return one line for each problem, with its path as a sweep file writes it.

    Args:
        error: What pydantic found.
        schema: The model it was checking, for suggestions on misspelt keys.
    """
    found = error.errors(include_url=False)
    lines = list(dict.fromkeys(_line(details, schema) for details in found[:_MOST_LINES]))
    more = len(found) - _MOST_LINES
    return lines if more <= 0 else [*lines, f"and {more:,} more"]


def sound_part(settings: Mapping[str, Any], error: ValidationError) -> dict[str, Any]:
    """Return settings of which those that pydantic found wrong take their defaults, so that it tells no more.

    Args:
        settings: What it was checking, laid out like a sweep file; not changed.
        error: What it found.
    """
    kept = copy.deepcopy(dict(settings))
    for details in error.errors(include_url=False):
        section, *inner = map(str, details["loc"])
        values = kept.get(section)
        # Of a sampler or pruner the settings depend on its name: it is left out whole.
        if inner and isinstance(values, dict) and section not in ("sampler", "pruner"):
            values.pop(inner[0], None)
        else:
            kept.pop(section, None)
    if "tune_new_entries" in settings and "tune_new_entries" not in kept:
        # What nobody asked to be searched is no problem of theirs.
        kept["tune_new_entries"] = False
    return {"study": "unnamed", **kept}


def _line(details: Any, schema: type[BaseModel]) -> str:
    loc, kind, given = details["loc"], details["type"], details["input"]
    context = details.get("ctx", {})
    # A limit of nine digits is told whole: it is to be typed.
    limits = {k: f"{v:g}" if isinstance(v, float) else v for k, v in context.items()}
    keys, models = _walk(loc, schema)
    where = ".".join(keys)
    if kind == "extra_forbidden":
        allowed = sorted({name for model in models for name in model.model_fields})
        return f"{where}: unknown key{did_you_mean(keys[-1], allowed)} (allowed: {', '.join(allowed)})"
    if kind == "missing":
        return f"{where}: missing; add it"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tag = context.get("discriminator", "").strip("'")
        allowed = [m.strip(" '") for m in context.get("expected_tags", "").split(",")] or _tags(loc, schema)
        # Nobody writes "added": it stands for a sampler of an installed package, by that one's name.
        allowed = [a for a in allowed if a and a != "added"] or _tags(loc, schema)
        if kind == "union_tag_not_found":
            return f"{where}.{tag}: missing; one of {', '.join(allowed)}"
        text = str(context.get("tag"))[:_LONGEST_NAME]
        near = did_you_mean(text, allowed)
        return f"{where}.{tag}: unknown {shown(text)}{near} (allowed: {', '.join(allowed)})"
    if kind == "literal_error":
        allowed = [m.strip(" '") for m in context["expected"].replace(" or ", ",").split(",")]
        hint = did_you_mean(shown(given).strip("'"), allowed)
        return f"{where}: unknown {shown(given)}{hint} (allowed: {', '.join(allowed)})"
    if kind == "value_error":
        return f"{where}: {context['error']}"
    if kind == "string_pattern_mismatch":
        return f"{where}: {shown(given)} can't be used; {STUDY_NAME_WORDS}"
    if kind == "model_attributes_type" and "name" in models[0].model_fields:
        return f'{where}: must be a table such as {{ name = "{_tags(loc, schema)[0]}" }}, got {shown(given)}'
    if kind in _MUST_BE:
        return f"{where}: must be {_MUST_BE[kind].format(**limits)}, got {shown(given)}"
    return f"{where}: {details['msg']}, got {shown(given)}"


def _walk(loc: tuple[int | str, ...], schema: type[BaseModel]) -> tuple[list[str], list[type[BaseModel]]]:
    """Return the path without pydantic's union tags, and the models that its last key belongs to."""
    keys: list[str] = []
    models = [schema]
    inside = False
    for item in loc:
        text = str(item)
        tagged = [m for m in models if text in _tag_values(m)]
        if inside and tagged and len(models) > 1:
            models = tagged
            continue
        keys.append(text)
        fields = [m.model_fields[text] for m in models if text in m.model_fields]
        members = [m for f in fields for m in _models(f.annotation, f.metadata)]
        if members:
            models, inside = members, True
    return keys, models


def _tags(loc: tuple[int | str, ...], schema: type[BaseModel]) -> list[str]:
    _, models = _walk(loc, schema)
    return [tag for model in models for tag in _tag_values(model)]


def _tag_values(model: type[BaseModel]) -> list[str]:
    return [
        str(model.model_fields[key].default)
        for key in ("type", "name")
        if key in model.model_fields and isinstance(model.model_fields[key].default, str)
    ]


def _models(*annotations: Any) -> Iterator[type[BaseModel]]:
    """Yield the schema classes inside an annotation."""
    for annotation in annotations:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        elif isinstance(annotation, list | tuple):
            yield from _models(*annotation)
        else:
            yield from _models(*get_args(annotation))
