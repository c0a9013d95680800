"""Fixtures of made studies."""

from made_studies import confirmed, quiet_optuna, sqlite_study, study, tiny_study

__all__ = ["confirmed", "quiet_optuna", "sqlite_study", "study", "tiny_study"]
