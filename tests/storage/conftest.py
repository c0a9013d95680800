"""Fixtures of made studies."""

from made_studies import sqlite_study, study

__all__ = ["sqlite_study", "study"]
