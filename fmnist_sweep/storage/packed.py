"""A finished trial as a long run keeps it: packed, but for what samplers look at.

Nearly all that a trial takes in memory are the numbers of its curve, each an object of Python's own: some
8 KB for ten epochs, which packed are a few hundred bytes. Parameters, values and states stay as they are.
"""

from __future__ import annotations

import copy
import json
import zlib
from typing import Any, Final, Self

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial
from typing_extensions import override

from fmnist_sweep.storage.json_text import parsed

_FAST: Final = 1
"""How hard it is packed: harder takes thrice the time, and makes little of it."""

_PACKED: Final = ("_user_attrs", "_system_attrs", "intermediate_values")


class PackedTrial(FrozenTrial):
    """A finished trial of Optuna's whose attributes and reports are unpacked when they are first read.

    What was read stays unpacked: a pruner that compares all trials asks for their reports again and again.
    A copy is a trial of Optuna's own, with everything, and leaves this one packed.
    """

    _packed: bytes

    @classmethod
    def of(cls, trial: FrozenTrial, distributions: dict[str, BaseDistribution]) -> Self:
        """Return a trial packed.

        Args:
            trial: What it holds must be what its storage gives back.
            distributions: Equal to its own; may be those of others too.
        """
        reports = [[int(step), float(value)] for step, value in trial.intermediate_values.items()]
        text = json.dumps([trial.user_attrs, trial.system_attrs, reports], separators=(",", ":"))
        packed = cls.__new__(cls)
        vars(packed).update((k, v) for k, v in vars(trial).items() if k not in _PACKED)
        packed.distributions = distributions
        packed._packed = zlib.compress(text.encode(), _FAST)  # noqa: SLF001 - its own
        return packed

    def _unpacked(self) -> dict[str, Any]:
        user, system, reports = parsed(zlib.decompress(self._packed).decode())
        return dict(zip(_PACKED, (user, system, dict(reports)), strict=True))

    def __getattr__(self, name: str) -> Any:
        # Asked only for what is not there: whatever was read once costs no more than with any other trial.
        if name not in _PACKED:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        value = self._unpacked()[name]
        setattr(self, name, value)
        return value

    def _whole(self) -> FrozenTrial:
        """Return it as a trial of Optuna's own."""
        held = {**self._unpacked(), **vars(self)}
        return FrozenTrial(
            number=self.number,
            state=self.state,
            value=None,
            values=self.values,
            datetime_start=self.datetime_start,
            datetime_complete=self.datetime_complete,
            params=dict(self.params),
            distributions=dict(self.distributions),
            user_attrs=held["_user_attrs"],
            system_attrs=held["_system_attrs"],
            intermediate_values=held["intermediate_values"],
            trial_id=self._trial_id,
        )

    def __copy__(self) -> FrozenTrial:
        return self._whole()

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenTrial:
        whole = self._whole()
        if vars(self).keys().isdisjoint(_PACKED):
            # All that could be changed was made for it.
            return whole
        return copy.deepcopy(whole, memo)

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return copy.copy, (self._whole(),)

    @override
    def __eq__(self, other: object) -> bool:
        if isinstance(other, PackedTrial):
            other = other._whole()
        return self._whole() == other

    __hash__ = FrozenTrial.__hash__

    @override
    def __repr__(self) -> str:
        return repr(self._whole())


class Packing:
    """Packs the trials of one study: of what they were drawn from, each kind is kept once.

    A draw makes new distributions each time, though they mostly are those of the trial before.
    """

    def __init__(self) -> None:
        self._distributions: dict[str, BaseDistribution] = {}
        self._spaces: dict[tuple[tuple[str, int], ...], dict[str, BaseDistribution]] = {}

    def one(self, text: str, distribution: BaseDistribution) -> BaseDistribution:
        """Return the first distribution that is stored as this one is."""
        return self._distributions.setdefault(text, distribution)

    def pack(self, trial: FrozenTrial) -> PackedTrial:
        """Return a finished trial packed."""
        # What is kept here keeps its distributions too: no other one can come to have their ids.
        space = tuple((name, id(distribution)) for name, distribution in trial.distributions.items())
        return PackedTrial.of(trial, self._spaces.setdefault(space, trial.distributions))
