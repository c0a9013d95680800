"""Settings of a sweep that follow from what it scores: what ``fit`` returns is known at the end alone."""

from __future__ import annotations

from collections.abc import Sequence

from fmnist_sweep.config.schema import NonePrunerSection, SweepFile
from fmnist_sweep.config.score_section import resolved_score
from fmnist_sweep.core.metrics import is_returned, is_share_of_right
from fmnist_sweep.models import catalog


def with_score(file: SweepFile, metrics: Sequence[str]) -> SweepFile:
    """Return a sweep file with all that its score leaves out filled in for a model of one's own.

    Args:
        file: As it was given.
        metrics: As for `resolved_score`.
    """
    score = resolved_score(file.score, metrics)
    if not is_returned(score.metric):
        return file.model_copy(update={"score": score})
    last = score.model_copy(update={"epoch_rule": "last"})
    return file.model_copy(update={"score": last, "pruner": NonePrunerSection()})


def tie_problems(file: SweepFile) -> list[str]:
    """Return what is wrong with a sweep file's ``score.within_se``, one line each."""
    score = file.score
    if not score.within_se or is_share_of_right(score.metric):
        return []
    why = f"acts where the score is an accuracy; of {score.metric!r} no standard error is known"
    return [f"score.within_se: {why}. Leave it out, or set it to 0"]


def returned_problems(file: SweepFile, model: catalog.ModelSpace | None) -> list[str]:
    """Return what can't be said of a sweep that scores what ``fit`` returns, one line each.

    Args:
        file: Sound sections.
        model: The space of a model of ours; None for a user's own.
    """
    if not is_returned(file.score.metric):
        return []
    if model is not None and model.n_parameters is not None:
        return [
            f"score.metric: {file.score.metric!r} is what a fit of your own returns; {file.model} has none"
        ]
    known = "what fit returns is known once all epochs are trained"
    problems = []
    if "epoch_rule" in file.score.model_fields_set and file.score.epoch_rule == "best":
        problems.append(
            f"score.epoch_rule: must be 'last' where score.metric is {file.score.metric!r}: {known}"
        )
    if file.score.penalty:
        problems.append(
            f"score.penalty: must be 0 where score.metric is {file.score.metric!r}: it has no gap"
        )
    if "pruner" in file.model_fields_set and file.pruner.name != "none":
        problems.append(f"pruner.name: must be 'none' where score.metric is {file.score.metric!r}: {known}")
    if file.training.patience is not None:
        problems.append(f"training.patience: can't act where score.metric is {file.score.metric!r}: {known}")
    return problems
