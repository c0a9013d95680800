"""The forms in which this program writes attributes, and the words for what has another one.

Nothing here loads Optuna or NumPy: ``status`` is quick.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import isfinite
from typing import Annotated, Any, Final, Literal, NotRequired, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from fmnist_sweep.core.foreign import safe_line
from fmnist_sweep.storage import attributes as names

SCORES: Final = ("train_accuracy", "train_cross_entropy", "val_accuracy", "val_cross_entropy")
"""As `fmnist_sweep.core.curves.METRICS` has them, without NumPy."""

_MAX_INT: Final = 2**63 - 1
"""Tables keep whole numbers in 64 bits."""

_MAX_FLOAT: Final = 1e100  # beyond it, sums of squares are no longer finite
_MAX_SECONDS: Final = 1e12
_MAX_DEPTH: Final = 20

_Int: TypeAlias = Annotated[int, Field(ge=-_MAX_INT, le=_MAX_INT)]
_Count: TypeAlias = Annotated[int, Field(ge=0, le=_MAX_INT)]
_Float: TypeAlias = Annotated[float, Field(ge=-_MAX_FLOAT, le=_MAX_FLOAT, allow_inf_nan=False)]
_Seconds: TypeAlias = Annotated[float, Field(ge=0, le=_MAX_SECONDS, allow_inf_nan=False)]


def _scalar(value: Any) -> Any:
    if type(value) is str or type(value) is bool:
        return value
    if isinstance(value, float) and not isfinite(value):
        raise PydanticCustomError("scalar", "not a finite number")
    if isinstance(value, int) and abs(value) > _MAX_INT:
        raise PydanticCustomError("scalar", "a whole number of more than 64 bits")
    if not isinstance(value, bool | int | float | str):
        raise PydanticCustomError("scalar", "{got}, not a single value", {"got": _described(value)})
    return value


_Scalar: TypeAlias = Annotated[Any, AfterValidator(_scalar)]


def _shallow(value: Any) -> Any:
    """Pages print a study's settings whole: no deeper than any that this program wrote."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > _MAX_DEPTH:
            raise PydanticCustomError("deep", "nested more than {n} deep", {"n": _MAX_DEPTH})
        mappings = [v for one in level if isinstance(one, dict) for v in one.values()]
        level = [*mappings, *(v for one in level if isinstance(one, list) for v in one)]
    return value


def _curve(columns: dict[str, list[float]]) -> dict[str, list[float]]:
    n = len(columns.get("seconds", ()))
    if "seconds" not in columns:
        raise PydanticCustomError("curve", "without {name}", {"name": "seconds"})
    if not any(name.startswith("val_") for name in columns):
        raise PydanticCustomError("curve", "without scores")
    for name, column in columns.items():
        part, _, metric = name.partition("_")
        other = {"train": f"val_{metric}", "val": f"train_{metric}"}.get(part)
        if other is not None and other not in columns:
            raise PydanticCustomError("curve", "{name} without {other}", {"name": name, "other": other})
        if len(column) != n:
            raise PydanticCustomError(
                "curve", "{name} has {m} epochs, seconds {n}", {"name": name, "m": len(column), "n": n}
            )
        # What Keras logs while it trains is no score: it may be anything.
        if part != "running" and n and not _is_finite(column):
            raise PydanticCustomError("curve", "{name} is not finite", {"name": name})
    return columns


def _is_finite(column: list[float]) -> bool:
    # A sum takes in whatever is not finite: to look at each number takes five times as long.
    return isfinite(sum(column)) and max(column) <= _MAX_FLOAT and min(column) >= -_MAX_FLOAT


_Curve: TypeAlias = Annotated[dict[str, list[float]], AfterValidator(_curve)]
_Interval: TypeAlias = Annotated[list[_Float], Field(min_length=2, max_length=2)] | None


@with_config(ConfigDict(extra="forbid"))
class _Score(TypedDict, total=False):
    metric: str
    direction: Literal["max", "min"]
    penalty: _Float
    tolerance: _Float
    epoch_rule: Literal["best", "last"]
    min_val_accuracy: _Float | None
    within_se: _Float


@with_config(ConfigDict(extra="forbid"))
class _Rule(TypedDict):
    metric: str
    direction: NotRequired[Literal["max", "min"]]
    penalty: _Float
    tolerance: _Float
    epoch_rule: Literal["best", "last"]
    min_val_accuracy: _Float | None


class _Training(TypedDict):
    n_val: _Count
    batch_size: _Count
    seed: _Int
    n_probe: NotRequired[_Count]
    train_size: _Count | None
    split_seed: NotRequired[_Int | None]
    patience: NotRequired[_Count | None]
    fit_epochs: NotRequired[_Count]


class _Budget(TypedDict, total=False):
    trials: _Count | None
    max_retries: _Count
    trial_seconds: _Seconds | None


class _Config(TypedDict, total=False):
    model: str
    data: str | dict[str, Any]
    score: _Score
    training: _Training
    split: dict[str, str]
    budget: _Budget
    max_model_size: _Count | None
    space: dict[str, Any]


class _Data(TypedDict, total=False):
    name: str
    input_shape: list[_Count]
    class_names: list[str]
    n_train: _Count
    form: Literal["call"]
    validates: bool
    n_val: _Count


class _Machine(TypedDict):
    cpu: str
    n_cores: _Count
    memory_gb: NotRequired[_Float]
    system: NotRequired[str]
    python: NotRequired[str]


class _Owner(TypedDict):
    host: str
    boot: str
    pid: Annotated[int, Field(ge=0, lt=2**31)]
    started: _Float
    run: str


class _Candidate(TypedDict):
    label: str
    trial: _Count | None
    hyperparameters: dict[str, _Scalar]
    epochs: _Count
    sweep_score: _Float | None
    n_parameters: NotRequired[_Count | None]
    fit_epochs: NotRequired[_Count]


class _Decision(TypedDict):
    sure: _Float
    thorough: bool
    prefer: Literal["smallest"] | None
    within: _Float


class _Reading(TypedDict):
    when: str
    what: str
    trial: _Count | None
    key: str
    n_models: _Count
    reason: str
    complete: bool


class _Mean(TypedDict):
    mean: _Float
    interval_95: _Interval


class _Exported(TypedDict):
    trial: _Count | None
    confirmed: bool
    epochs: _Count
    mean: dict[str, _Mean]
    written: str


class _Bundle(_Exported):
    folder: str


class _PartScores(TypedDict):
    n: _Count
    accuracy: _Float
    accuracy_95: list[_Float]


class _Beside(TypedDict):
    name: str
    trial: _Count | None
    epochs: _Count
    n_parameters: _Count | None
    mean: dict[str, _Mean]
    difference: dict[str, _Mean]


class _AnyExport(_Exported):
    name: str
    seeds: Annotated[list[_Int], Field(min_length=1)]
    headline: NotRequired[str]
    beside: NotRequired[_Beside]
    flip_average: NotRequired[bool]
    confusion: dict[Literal["train", "val", "test"], list[list[_Count]]]
    class_names: list[str]
    curve: _Curve


class _Export(_AnyExport):
    model: dict[str, _PartScores | _Float]


class _FitExport(_AnyExport):
    metric: str
    measured: dict[Literal["train", "val", "test"], dict[str, _Float]]
    untested: str


class _Tested(TypedDict):
    test_accuracy: _Float


class _Origin(TypedDict):
    study: str
    trial: _Count


OF_STUDIES: Final[dict[str, Any]] = {
    names.CONFIG: Annotated[_Config, AfterValidator(_shallow)],
    names.CONFIG_DIGEST: str,
    names.DATA: _Data,
    **dict.fromkeys((names.DATA_DIGEST, names.MODEL_PATH, names.FOLDER), str),
    names.MODEL_SOURCES: list[dict[str, str]] | None,
    names.ALLOWED_EPOCHS: list[_Count] | None,
    names.VERSIONS: dict[str, str],
    names.DEFAULT_TRIAL: _Count,
    names.OWNER: _Owner | None,
    names.MACHINE: _Machine,
    names.KIND: str,
    names.SCORE_RULE: _Rule,
    names.CONFIRMS: str,
    names.CANDIDATES: list[_Candidate],
    names.N_REPEATS: _Count,
    names.DECISION: _Decision,
    names.READ_ONLY: str,
    names.LOADING: bool | None,
    names.TEST_READINGS: list[_Reading],
    names.EXPORT: _Export,
    names.EXPORT_OF_FIT: _FitExport,
    names.BUNDLES: list[_Bundle],
    names.CHECKPOINT_STORAGE: Annotated[list[str], Field(min_length=1)],
    names.FIGURES_OF: str,
    names.PAPER_TEST: list[_Tested],
}
OF_TRIALS: Final[dict[str, Any]] = {
    names.HYPERPARAMETERS: dict[str, _Scalar],
    names.SEED: _Int,
    names.SPLIT_SEED: _Int,
    names.SECONDS: _Seconds,
    names.N_EPOCHS: _Count,
    names.N_PARAMETERS: _Count | None,
    names.PEAK_MEMORY_MB: Annotated[_Float, Field(ge=0)],
    names.N_REUSED_EPOCHS: _Count,
    names.N_RETRIES: _Count,
    names.CURVE: _Curve,
    names.EPOCH: _Count,
    names.GAP: _Float,
    names.STOPPED_EARLY: bool,
    **dict.fromkeys((names.FAIL_REASON, names.FAIL_DETAIL, names.RUN, names.CANDIDATE), str),
    names.RETURNED: dict[str, _Float],
    **dict.fromkeys((names.REPEAT, names.RETRY_OF), _Count),
    names.IMPORTED_FROM: _Origin,
    names.PAUSED: _Count | None,
    names.MODEL_SOURCE: str,
    **dict.fromkeys(SCORES, _Float),
}


def problems(attributes: Mapping[str, Any], forms: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with attributes, in words by their names.

    Args:
        attributes: Of a study or of a trial; those of other names are anybody's.
        forms: `OF_STUDIES` or `OF_TRIALS`.

    Example:
        >>> problems({"epoch": "7", "curve": {"seconds": []}, "note": 7}, OF_TRIALS)
        {'curve': 'without scores', 'epoch': 'text, not a whole number'}
    """
    is_of_studies = forms is OF_STUDIES
    try:
        _whole(is_of_studies).validate_python(attributes, strict=True)
    except ValidationError:
        pass  # One by one then: of each, the first thing that is wrong is told.
    else:
        return {}
    found = {}
    for name in attributes.keys() & forms.keys():
        try:
            _adapter(name, is_of_studies).validate_python(attributes[name], strict=True)
        except ValidationError as error:
            found[name] = _first(error)
    # In the order of the table, whatever order a storage gives.
    return {name: found[name] for name in forms if name in found}


@cache
def _whole(is_of_study: bool) -> TypeAdapter[Any]:
    """Return what checks all attributes in one go: nearly always, nothing is wrong with any."""
    forms = OF_STUDIES if is_of_study else OF_TRIALS
    return TypeAdapter(TypedDict("Attributes", forms, total=False))  # type: ignore[operator]


@cache
def _adapter(name: str, is_of_study: bool) -> TypeAdapter[Any]:
    return TypeAdapter((OF_STUDIES if is_of_study else OF_TRIALS)[name])


_EXPECTED: Final = {
    "float_type": "a number",
    "int_type": "a whole number",
    "string_type": "text",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "list_type": "a list",
}
_LIMITS: Final = {
    "finite_number": "which is not finite",
    "greater_than_equal": "which is too small",
    "less_than_equal": "which is too large",
    "less_than": "which is too large",
}


def _first(error: ValidationError) -> str:
    """Return the first thing that is wrong, with where in the value that is."""
    told = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(safe_line(str(part), 40) for part in told["loc"])
    kind = told["type"]
    if kind in _EXPECTED:
        words = f"{_described(told['input'])}, not {_EXPECTED[kind]}"
    elif kind == "missing":
        words = "missing"
    elif kind in _LIMITS:
        words = f"{_shown(told['input'])}, {_LIMITS[kind]}"
    elif kind == "literal_error":
        words = f"{_shown(told['input'])}, not one of those that there are"
    else:
        # Those of our own say it in our words.
        words = told["msg"]
    return f"{where}: {words}" if where else words


def _shown(value: Any) -> str:
    # The text of a number may be longer than Python is willing to write.
    if isinstance(value, int) and abs(value) > _MAX_INT:
        return "a number of more than 64 bits"
    return safe_line(repr(value), 40) if isinstance(value, int | float | str) else _described(value)


def _described(value: Any) -> str:
    kinds = (
        (bool, "true or false"),
        (int, "a number"),
        (float, "a number"),
        (str, "text"),
        (dict, "a mapping"),
    )
    if value is None:
        return "nothing"
    return next((words for kind, words in kinds if isinstance(value, kind)), "a list")
