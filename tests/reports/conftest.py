"""Fixtures of made studies."""

from made_studies import quiet_optuna, sqlite_study, study, tiny_study

__all__ = ["quiet_optuna", "sqlite_study", "study", "tiny_study"]
