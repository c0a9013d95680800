"""What of a study's or trial's attributes can be used, and a line on each that can't be of this program.

Anybody can write into a storage. What reads attributes, `storage.stored` and `storage.overview`, asks here
first, so that nothing behind them meets a value of another form. Nothing here loads Optuna.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, Final

from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.core.foreign import one_line
from fmnist_sweep.core.wording import shown
from fmnist_sweep.storage import attributes as names
from fmnist_sweep.storage import forms

_IN_CONFIG: Final = ("model", "data", "training")
"""What the settings of every study of ours have."""

HALF_LOADED: Final = (
    "not all of it is here: a load has not ended, or was killed; the same load makes it whole"
)

_MEND_NAMES: Final = "UPDATE studies SET study_name = CAST(study_name AS TEXT)"

_DIRECTIONS: Final = ("MAXIMIZE", "MINIMIZE")

_NEEDED_OF_REPEATS: Final = (names.SEED, names.SPLIT_SEED, names.SECONDS)


def fitting_study(attributes: Mapping[str, Any]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return a study's attributes less those that are not of their form, and a line on each of those.

    Another tool's study may use the same names for what it likes: nothing is said of that.

    Example:
        >>> fitting_study({"config_digest": "c0ffee", "read_only": 7, "note": "mine"})
        ({'config_digest': 'c0ffee', 'note': 'mine'}, ('read_only: a number, not text', 'config: missing'))
    """
    wrong = forms.problems(attributes, forms.OF_STUDIES)
    left = _without(attributes, wrong)
    # What a load has written so far has its forms: another tool may call what it likes so.
    if left.get(names.LOADING) and not wrong:
        return left, (HALF_LOADED,)
    if names.CONFIG_DIGEST not in attributes:
        return left, ()
    # What is there and no mapping is told already.
    config = left.get(names.CONFIG, dict.fromkeys(_IN_CONFIG))
    missing = [f"{names.CONFIG}: {name}: missing" for name in _IN_CONFIG if name not in config]
    missing += [] if names.CONFIG in attributes else [f"{names.CONFIG}: missing"]
    if left.get(names.KIND) == names.CONFIRM and "n_train" not in left.get(names.DATA, {"n_train": 0}):
        missing.append(f"{names.DATA}: n_train: missing")
    return left, (*(f"{name}: {words}" for name, words in wrong.items()), *missing)


def fitting_trial(
    attributes: Mapping[str, Any], value: Any, *, is_complete: bool
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return a trial's attributes less those that are not of their form, and a line on all that is wrong.

    Nothing is said of a trial that another tool has told.

    Args:
        attributes: All that are stored.
        value: Its score, or whatever stands in its place; None without one, or with several.
        is_complete: Whether its state is COMPLETE.
    """
    wrong = forms.problems(attributes, forms.OF_TRIALS)
    is_of_a_sweep = bool(attributes.keys() & {names.HYPERPARAMETERS, names.CURVE, names.RUN})
    for name, score in attributes.items():
        if name.startswith(names.SCORE_PREFIXES) and name not in forms.SCORES and not _is_number(score):
            # Somebody's note: no score of ours is called so.
            attributes = _without(attributes, [name])
    attributes = _without(attributes, wrong)
    if not is_of_a_sweep:
        return attributes, ()
    lines = [f"{name}: {words}" for name, words in wrong.items()]
    if value is not None and not _is_number(value):
        lines.append(f"its score is {shown(value)}")
    if not wrong:
        lines += _unfit_together(attributes, is_complete=is_complete)
    return attributes, tuple(lines)


def _unfit_together(attributes: Mapping[str, Any], *, is_complete: bool) -> list[str]:
    """Return what is wrong with a sweep's trial whose attributes have their forms, each for itself."""
    lines = []
    epoch, curve = attributes.get(names.EPOCH), attributes.get(names.CURVE)
    if epoch is not None and curve is not None and epoch >= len(curve["seconds"]):
        lines.append(f"epoch: {epoch}, counted from 0, but its curve has {len(curve['seconds'])}")
    if is_complete and attributes.keys() >= {*names.OURS}:
        repeats = _NEEDED_OF_REPEATS if {names.REPEAT, names.CANDIDATE} <= attributes.keys() else ()
        needed = (*_scores_in(curve or {}), names.GAP, *repeats)
        lines += [f"{name}: missing" for name in needed if name not in attributes]
    return lines


def _scores_in(curve: Mapping[str, Any]) -> Sequence[str]:
    """Return the names of the scores that belong to a curve; without one, those of a classifier."""
    return [name for name in curve if name.startswith(names.SCORE_PREFIXES)] or forms.SCORES


def text_names(names: Iterable[object]) -> list[str]:
    """Return the names of studies, each of which is text.

    Raises:
        StorageError: One is something else, which SQLite stores in any column: no tool would find that study.

    Example:
        >>> text_names(["dense", "cnn"])
        ['dense', 'cnn']
    """
    found = list(names)
    wrong = [name for name in found if not isinstance(name, str)]
    if wrong:
        told = f"the name of a study, {str(wrong[0])[:100]}, is stored as {type(wrong[0]).__name__}"
        raise StorageError(
            f"{told} and not as text, so that nothing finds it; back the database up, and mend it "
            f"with sqlite3: {_MEND_NAMES}"
        )
    return [name for name in found if isinstance(name, str)]


def unreadable(what: str, error: Exception) -> str:
    """Return the line on attributes or trials that the storage can't even give back."""
    return f"{what} can't be read: {one_line(error, 200)}"


def direction_problems(directions: Sequence[str]) -> list[str]:
    """Return a line on a study of several objectives, of none, or of one without a direction.

    Args:
        directions: Of each objective, as Optuna names it.

    Example:
        >>> direction_problems(["MAXIMIZE"]), direction_problems(["NOT_SET"])
        ([], ["its direction is 'NOT_SET', neither MAXIMIZE nor MINIMIZE"])
    """
    if len(directions) != 1:
        return [f"it has {len(directions)} objectives; the studies that are read here have one"]
    (direction,) = directions
    known = direction in _DIRECTIONS
    return [] if known else [f"its direction is {shown(direction)}, neither {' nor '.join(_DIRECTIONS)}"]


def row_problems(n_values: int, bad_params: Collection[str], *, is_complete: bool) -> list[str]:
    """Return a line on all that no storage should hold of a trial of one objective, whoever told it.

    Args:
        n_values: How many scores it has.
        bad_params: Names of parameters with a number that is none, or infinite.
        is_complete: Whether its state is COMPLETE.
    """
    lines = [f"it has {n_values} scores"] if n_values > 1 else []
    lines += ["its score is missing"] if is_complete and not n_values else []
    return [*lines, *(f"{name}: no finite number was drawn" for name in bad_params)]


def in_short(lines: Sequence[str]) -> str:
    """Return the first of some lines, and how many more there are.

    Example:
        >>> in_short(["gap: text, not a number", "epoch: missing", "curve: missing"])
        'gap: text, not a number (and 2 more)'
    """
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return f"{lines[0]}{more}" if lines else ""


def _without(attributes: Mapping[str, Any], names_left_out: Collection[str]) -> Mapping[str, Any]:
    if not names_left_out:
        return attributes
    return {name: value for name, value in attributes.items() if name not in names_left_out}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
