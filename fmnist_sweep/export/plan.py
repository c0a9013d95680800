"""What an export is about to do, with all checks that can be made before anything heavy is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import optuna

from fmnist_sweep.analysis.ranking import left_out_notes
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.core.files import safe_name
from fmnist_sweep.core.user_code import is_ours
from fmnist_sweep.export.bundle import bundle_facts, check_place
from fmnist_sweep.export.choice import Chosen, chosen
from fmnist_sweep.export.delivered import Delivery
from fmnist_sweep.export.finals import FinalPlan
from fmnist_sweep.export.readings import require_unread
from fmnist_sweep.search.model_source import require_same_model
from fmnist_sweep.storage.damage import require_whole
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.studies import require_writable

N_FINALS: Final = 5
"""Final trainings, where nobody says how many."""


@dataclass(frozen=True)
class ExportPlan:
    """An export that passed all checks that can be made without loading TensorFlow or data.

    Attributes:
        study: The sweep's study.
        choice: What is exported.
        folder: The bundle.
        final: The trainings behind it.
        beside: Those of what is read beside it; None where nothing is.
        fast: Whether it is written from kept weights, without training and without the test set.
        is_there: Whether the bundle is there already, of the same choice: nothing is left to do.
        again: Whether the test set may be read although it was.
    """

    study: optuna.Study
    choice: Chosen
    folder: Path
    final: FinalPlan
    is_there: bool
    again: bool
    beside: FinalPlan | None = None
    fast: bool = False

    @property
    def title(self) -> str:
        """What pictures and texts of the bundle call the model."""
        trial = self.choice.trial
        return f"{self.study.study_name}, {'the default' if trial is None else f'trial {trial}'}"

    @property
    def finals(self) -> list[FinalPlan]:
        """All trainings of the export, those behind the bundle first."""
        return [self.final, *([] if self.beside is None else [self.beside])]

    @property
    def deliveries(self) -> list[Delivery]:
        """What all trainings hand over, or will."""
        return [delivery for final in self.finals for delivery in final.deliveries]

    @property
    def is_tested(self) -> bool:
        """Whether what a reading of the test set gave for these trainings is kept, and may be used."""
        return not self.again and all(map(_is_tested, self.finals))

    def outlook(self) -> list[str]:
        """Return what the export is about to do, a line each."""
        final, folder = self.final, self.folder
        lines = [self.choice.words, *left_out_notes(StoredStudy.of(self.study))]
        if self.fast:
            source = f"the weights that were kept of {self.choice.name} after epoch {self.choice.epochs}"
            return [*lines, f"Writing {folder} from {source}: nothing is trained, no test set is read."]
        if self.choice.beside is not None and self.beside is None:
            other = self.choice.beside.name
            lines.append(f"Without {other} beside it: the test set was read before. --again reads both.")
        if self.is_tested:
            return [*lines, f"Writing {folder} from the trainings and the reading that are kept."]
        kept = sum(delivery.is_trained for delivery in self.deliveries)
        done = f" ({kept} are done)" if kept else ""
        trainings = f"Training {final.n_repeats} times for {self.choice.epochs} epochs"
        if self.beside is not None:
            beside = self.beside.choice
            trainings += f", and beside it {beside.name} as often for {beside.epochs}"
        trainings += done
        return [*lines, f"{trainings}, then reading the test set, if there is one, into {folder}."]


def _is_tested(final: FinalPlan) -> bool:
    return all(delivery.is_trained and delivery.is_tested for delivery in final.deliveries)


def is_users_sweep(study: StoredStudy) -> bool:
    """Return whether a study is a sweep of the user's own: none of the paper, none that is read-only."""
    return study.is_sweep and study.draws_trials and study.read_only is None


def require_exportable(study: StoredStudy) -> None:
    """Raise `SweepError` for a study that is no whole sweep of this program."""
    require_whole(study, with_confirmation=True)
    name = study.name
    if study.is_confirmation:
        raise SweepError(f"study {name!r} holds repeats that confirm another; export {study.confirms!r}")
    if not (study.is_sweep and study.is_ours):
        raise SweepError(f"study {name!r} was not made by fmnist-sweep: there is nothing to train from")


def plan_export(
    study: optuna.Study,
    *,
    output: Path,
    root: Path,
    trial: int | None = None,
    n_repeats: int = N_FINALS,
    again: bool = False,
    force: bool = False,
    flip_average: bool = False,
) -> ExportPlan:
    """Choose what to export, and check what can be checked before anything trains.

    Args:
        study: A sweep's study.
        output: Folder that the bundle goes into, under the study's name; with ``trial`` as
            ``NAME-trial-N``.
        root: Folder that keeps the study's final trainings.
        trial: Number of the trial to export; by default the winner.
        n_repeats: Number of trainings.
        again: Read the test set although it was read before.
        force: Write the bundle anew although it is there.
        flip_average: Hand out, and measure, the mean of what the model gives for an image and its mirror
            image; of what stands beside it never. It is a choice of its own: another one than without.

    Raises:
        SweepError: There is nothing to export, no place for it, or the test set was read before.
    """
    name, stored = study.study_name, StoredStudy.of(study)
    require_exportable(stored)
    require_writable(study)
    choice = chosen(stored, trial)
    if flip_average and not is_ours(str(stored.model_path)):
        raise SweepError(
            f"study {name!r}: --flip-average is for the built-in models dense and cnn, which take images; "
            f"{stored.model_path} may average in its own build"
        )
    require_same_model(stored, n_parameters=choice.n_parameters)
    folder = output / (safe_name(name) if trial is None else f"{safe_name(name)}-trial-{trial}")
    final = FinalPlan(study, choice, n_repeats, root, flip_average)
    other = choice.beside
    # What stands beside it is measured as its author has it: a net that saw no flips loses by their mean.
    beside = None if other is None else FinalPlan(study, other, n_repeats, root)
    if beside is not None and not again and _is_tested(final) and not _is_tested(beside):
        # The choice was read before it was confirmed: not for this is the test set read once more.
        beside = None
    check_place(folder)
    there = bundle_facts(folder)
    # The words as well: the same configuration may have been confirmed since.
    same = there is not None and there["key"] == final.key and choice.was_told(there["chosen"])
    is_there = same and not (again or force)
    plan = ExportPlan(study, choice, folder, final, is_there, again, beside)
    if not is_there and not plan.is_tested:
        require_unread(study, again=again)
    return plan
