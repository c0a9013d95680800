"""Every reading of the test set, kept in the study: the second one is never taken for the first."""

from __future__ import annotations

from datetime import UTC, datetime

import optuna

from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.export.choice import Chosen
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.writing import write_readings


class TestAlreadyReadError(SweepError):
    """The test set was read before, and nobody said that it is to be read again."""

    __test__ = False  # pytest would take the name for that of a test class


def require_unread(study: optuna.Study, *, again: bool) -> None:
    """Refuse a second reading that was not asked for.

    Raises:
        TestAlreadyReadError: It was read; the message says when, for what, and how to read it again.
    """
    readings = StoredStudy.of(study).readings
    if not readings or again:
        return
    last = readings[-1]
    lost = "" if last["complete"] else ", and what it gave was lost: the export ended before it was stored"
    times = "once" if len(readings) == 1 else f"{len(readings)} times"
    raise TestAlreadyReadError(
        f"study {study.study_name!r}: the test set was read {times}, last on {_shown(last['when'])} for "
        f"{last['what']}{lost}. Read twice, and chosen by, it measures less than it seems to. "
        "--again reads it again, and the bundle will say so."
    )


def record_reading(study: optuna.Study, choice: Chosen, *, key: str, n_models: int) -> int:
    """Write into the study that the test set is about to be read, and return how many readings that makes.

    To be called before the first test image is opened: of a process that is killed in between, one reading
    too many is told, never one too few.
    """
    before = StoredStudy.of(study).readings
    beside = "" if choice.beside is None else f", and beside it {choice.beside.name}"
    entry = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "what": f"{choice.name}{beside}",
        "trial": choice.trial,
        "key": key,
        "n_models": n_models,
        "reason": "export --again" if before else "export",
        "complete": False,
    }
    write_readings(study, [*before, entry])
    return len(before) + 1


def complete_reading(study: optuna.Study, *, key: str) -> None:
    """Write into the study that what the last reading for a configuration gave is stored."""
    readings = [dict(reading) for reading in StoredStudy.of(study).readings]
    last = next((reading for reading in reversed(readings) if reading["key"] == key), None)
    if last is not None and not last["complete"]:
        last["complete"] = True
        write_readings(study, readings)


def _shown(when: str) -> str:
    return f"{datetime.fromisoformat(when).astimezone():%Y-%m-%d %H:%M}"
