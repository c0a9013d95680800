"""What a sweep must have for its trials to pause and go on."""

from __future__ import annotations

from fmnist_sweep.config.schema import PromotionSection
from fmnist_sweep.config.sweep_config import SweepConfig


def promotion_problems(config: SweepConfig) -> list[str]:
    """Return why no trial of a sweep could pause though its ``[pruner]`` says so, one line each."""
    pruner = config.file.pruner
    if not isinstance(pruner, PromotionSection):
        return []
    if config.fits_in_one_call:
        why = "a fit that is called once, with all epochs, has no checkpoint for a paused trial to go on from"
        return [f"pruner.name: {why}; take 'median', or 'successive_halving', which stops trials for good"]
    first, longest = pruner.min_resource, config.epochs[-1]
    if first >= longest:
        why = f"{first:,} epochs to the first rung, and no trial trains more than {longest:,}"
        return [f"pruner.min_resource: {why}: none would pause; take fewer, or another pruner"]
    return []
