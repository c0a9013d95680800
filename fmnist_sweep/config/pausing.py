"""What a sweep must have for its trials to pause and go on."""

from __future__ import annotations

from fmnist_sweep.config.schema import FreezeThawSection, PromotionSection
from fmnist_sweep.config.sweep_config import SweepConfig


def pausing_problems(config: SweepConfig) -> list[str]:
    """Return why no trial of a sweep could pause though its ``[pruner]`` says so, one line each."""
    pruner = config.file.pruner
    if not isinstance(pruner, PromotionSection | FreezeThawSection):
        return []
    if config.fits_in_one_call:
        why = "a fit that is called once, with all epochs, has no checkpoint for a paused trial to go on from"
        return [f"pruner.name: {why}; take 'median', or 'successive_halving', which stops trials for good"]
    longest = config.epochs[-1]
    match pruner:
        case PromotionSection(min_resource=n):
            setting, told = "min_resource", f"{n:,} epochs to the first rung"
        case FreezeThawSection(mean_epochs=n):
            setting, told = "mean_epochs", f"{n:g} epochs a trial in the mean"
    if n < longest:
        return []
    why = f"{told}, and no trial trains more than {longest:,}"
    return [f"pruner.{setting}: {why}: none would pause; take fewer, or another pruner"]
