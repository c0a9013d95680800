"""Classes and functions of the user's own in a model that is exported: checked first, carried along last."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from fmnist_sweep.core.errors import InterruptedExportError, SweepError
from fmnist_sweep.core.events import Failed, Started
from fmnist_sweep.core.jobs import DataKey
from fmnist_sweep.core.places import Places
from fmnist_sweep.core.user_code import is_ours
from fmnist_sweep.engines.base import OpenEngine
from fmnist_sweep.export.finals import FinalPlan, events_of
from fmnist_sweep.export.own_code import FOLDER, OwnCode, own_code
from fmnist_sweep.search.model_source import ACCEPT
from fmnist_sweep.search.size_limit import size_problem

SAVING_CHECK: Final = "fmnist_sweep.training.saving_checks:SavingCheck"
OWN_CODE_CHECK: Final = "fmnist_sweep.training.saving_checks:OwnCodeCheck"

MakeEngine: TypeAlias = Callable[[str | None, Places], OpenEngine]
"""Gives an engine for the trainer of this import path, or, for None, for the final trainings."""


@dataclass(frozen=True)
class OwnParts:
    """What a saved model needs of the user's own, and what a bundle carries of it.

    Attributes:
        places: Where each is defined, ``"module:name"``, by its name in ``custom_objects``.
        has_lambdas: Whether the model holds code, which Keras loads with ``safe_mode=False`` alone.
        code: The source of all; None where it can't be carried.
        why_not: Why not, if so.
    """

    places: Mapping[str, str]
    has_lambdas: bool = False
    code: OwnCode | None = None
    why_not: str = ""

    @property
    def runs_alone(self) -> bool:
        """Whether nothing is missing from a bundle for its model to be loaded."""
        return not self.places or self.code is not None

    @classmethod
    def of(cls, source: Mapping[str, Any]) -> OwnParts:
        """Return what a final training said of it; trainings of earlier releases said nothing."""
        return cls(source.get("custom_objects", {}), source.get("has_lambdas", False))


def require_savable(
    final: FinalPlan,
    data: DataKey,
    make_engine: MakeEngine,
    places: Places,
    *,
    interrupted: threading.Event,
) -> None:
    """Save and load a user's own model before it is trained, which may take hours.

    Raises:
        InterruptedExportError: ``interrupted`` was set.
        SweepError: It can't be saved, or is another model than the one of the sweep.
    """
    if is_ours(final.model_path):
        return

    def check() -> None:
        if interrupted.is_set():
            raise InterruptedExportError("interrupted before anything was trained")

    known = final.choice.n_parameters
    job = replace(final.jobs(data)[0], n_parameters=known)
    with make_engine(SAVING_CHECK, places) as engine:
        for event in events_of(job, engine, check=check):
            if isinstance(event, Failed):
                raise SweepError(
                    f"the model can't be exported: {event.reason}. Nothing was trained. Once it is mended "
                    f"and builds the same nets, run the sweep file with {ACCEPT}, then export"
                )
            if isinstance(event, Started):
                problem = size_problem(event.n_parameters, limit=None, known=known)
                if problem is not None:
                    raise SweepError(f"nothing was trained: {problem}")


def own_parts(final: FinalPlan, data: DataKey, make_engine: MakeEngine, places: Places) -> OwnParts:
    """Return what a bundle of these trainings carries; its code was seen to load the model by itself."""
    first = final.deliveries[0]
    parts = OwnParts.of(first.source)
    if not parts.places:
        return parts
    if any(place.startswith("predict:") for place in parts.places.values()):
        return replace(parts, why_not="a module of theirs has the name of the bundle's script, predict.py")
    module = final.jobs(data)[0].model.partition(":")[0]
    try:
        code = own_code(parts.places, module, places.code)
    except SweepError as error:
        return replace(parts, why_not=str(error))
    with tempfile.TemporaryDirectory() as folder:
        code.write(Path(folder) / FOLDER)
        alone = replace(places, deliveries=final.folder, code=(Path(folder) / FOLDER,))
        with make_engine(OWN_CODE_CHECK, alone) as engine:
            for event in events_of(final.jobs(data)[0], engine):
                if isinstance(event, Failed):
                    return replace(parts, why_not=f"taken by itself it does not work: {event.reason}")
    return replace(parts, code=code)
