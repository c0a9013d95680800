"""The rule that decides a confirmation: what was asked for, what the study has, and what is allowed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from fmnist_sweep.analysis.decision import DecisionRule
from fmnist_sweep.storage.stored import StoredStudy

Prefer: TypeAlias = Literal["best", "smallest"]

MAX_WITHIN: Final = 100.0


@dataclass(frozen=True, slots=True)
class AskedRule:
    """What was asked for of a `DecisionRule`; None leaves a part as the confirmation has it.

    Attributes:
        sure: As in `DecisionRule`.
        thorough: Likewise.
        prefer: ``"best"`` picks the best mean, which is no preference.
        within: As in `DecisionRule`.
    """

    sure: float | None = None
    thorough: bool | None = None
    prefer: Prefer | None = None
    within: float | None = None

    def problems(self) -> list[str]:
        """Return what can't be taken, a line each."""
        problems = []
        if self.sure is not None and not 0.5 <= self.sure < 1:
            problems.append(
                f"--sure: {self.sure:g} can't be taken; from 0.5, where the best mean wins if it is above "
                "the baseline's, up to, but without, 1"
            )
        if self.within is not None and not 0 <= self.within <= MAX_WITHIN:
            problems.append(f"--within: {self.within:g} can't be taken; from 0 to {MAX_WITHIN:g}")
        return problems

    def rule(self, study: StoredStudy) -> DecisionRule:
        """Return the rule of a study's confirmation: what it had, with what is asked for in its place."""
        linked = study.linked
        stored = None if linked is None else linked.decision
        before = DecisionRule() if stored is None else DecisionRule(**stored)
        prefer: Literal["smallest"] | None = before.prefer
        if self.prefer is not None:
            prefer = "smallest" if self.prefer == "smallest" else None
        return replace(
            before,
            sure=before.sure if self.sure is None else self.sure,
            thorough=before.thorough if self.thorough is None else self.thorough,
            prefer=prefer,
            within=before.within if self.within is None else self.within,
        )
