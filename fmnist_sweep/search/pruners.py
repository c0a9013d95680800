"""The pruner of a study, built from the config."""

from __future__ import annotations

import warnings

import optuna
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PatientPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
)

from fmnist_sweep.config.schema import FreezeThawSection, PromotionSection, PrunerSection
from fmnist_sweep.core.halving import Halving
from fmnist_sweep.search.thawing import FreezeThaw


def pausing_of(section: PrunerSection) -> Halving | FreezeThaw | None:
    """Return by what rule trials pause; None under a pruner that ends them."""
    match section:
        case PromotionSection(min_resource=first, reduction_factor=factor):
            return Halving(first, factor)
        case FreezeThawSection(mean_epochs=mean, start_epochs=start):
            return FreezeThaw(mean, start)
        case _:
            return None


def build_pruner(section: PrunerSection, *, max_epochs: int) -> BasePruner:
    """Return the pruner of a study; it compares penalised scores, epoch by epoch."""
    settings = section.model_dump(exclude={"name"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match section.name:
            case "none" | "promotion" | "freeze_thaw":
                return NopPruner()
            case "median":
                return MedianPruner(**settings)
            case "percentile":
                return PercentilePruner(**settings)
            case "successive_halving":
                return SuccessiveHalvingPruner(**settings)
            case "hyperband":
                return HyperbandPruner(max_resource=max_epochs, **settings)
            case "patient":
                return PatientPruner(None, **settings)
