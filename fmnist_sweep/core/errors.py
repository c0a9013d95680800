"""Every error type of the package. This module imports nothing of it, so no import loop can start here."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Sequence
from typing import ClassVar


class SweepError(Exception):
    """A mistake that the user can mend: shown as a message without a traceback.

    Attributes:
        exit_code: What the command ends with.
    """

    exit_code: ClassVar[int] = 2

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: IPython asks for it by this name, in place of forty frames."""
        return [f"{type(self).__name__}: {self}"]


class SearchInterrupted(KeyboardInterrupt):
    """A search was interrupted, and has put its running trials back: calling it again goes on."""

    def _render_traceback_(self) -> list[str]:
        return [f"KeyboardInterrupt: {self}"]


class ProblemsError(SweepError):
    """Several problems found in one place, reported together.

    Args:
        where: The file, folder or address that the problems are in.
        problems: One line each: what was given, what is allowed, how to mend it.

    Example:
        >>> print(ConfigError("dense.toml", ["model: unknown model 'dens'; did you mean 'dense'?"]))
        dense.toml: 1 problem
          model: unknown model 'dens'; did you mean 'dense'?
    """

    def __init__(self, where: str, problems: Sequence[str]) -> None:
        super().__init__(where, tuple(problems))
        self.where = where
        self.problems = tuple(problems)

    def __str__(self) -> str:
        n = len(self.problems)
        head = f"{self.where}: {n} problem{'' if n == 1 else 's'}"
        return "\n".join([head, *(f"  {problem}" for problem in self.problems)])


class ConfigError(ProblemsError, ValueError):
    """A sweep file, or an option that overrides it, is wrong."""


class DataError(ProblemsError):
    """A data set is missing, damaged, or not what it says it is."""


class NotHereError(SweepError, AttributeError):
    """Something of KerasTuner's tuners that this package has under another name, or not at all."""


class MetricNotRecordedError(SweepError, LookupError):
    """A metric was asked for that the learning curve does not hold."""


class StorageError(SweepError):
    """The study storage can't be opened, read or written."""


class StudyNotFoundError(SweepError, LookupError):
    """No study of that name is in the storage."""


class StudyMismatchError(SweepError):
    """A study of that name exists, but another configuration or data set made it."""


class StudyReadOnlyError(SweepError):
    """The study came with the repository: no command changes it."""


class StudyDamagedError(SweepError):
    """The study holds what this program can't have written: somebody edited it, or its storage is damaged.

    Args:
        study: Its name.
        problems: What is wrong, a line each.
    """

    def __init__(self, study: str, problems: Sequence[str]) -> None:
        super().__init__(study, tuple(problems))
        self.study = study
        self.problems = tuple(problems)

    def __str__(self) -> str:
        lines = [f"  {problem}" for problem in self.problems[: self._SHOWN]]
        if len(self.problems) > len(lines):
            lines.append(f"  and {len(self.problems) - len(lines)} more")
        look = f"fmnist-sweep trials {shlex.quote(self.study)}"
        return "\n".join(
            [
                f"study {self.study!r} is damaged; nothing was done with it:",
                *lines,
                f"What can be read of it: {look}. Go on from a backup, or under another name.",
            ]
        )

    _SHOWN: ClassVar[int] = 5


class StudyBusyError(SweepError):
    """Another process runs the study, or may do so."""


class InterruptedExportError(SweepError):
    """Ctrl-C ended the final trainings; those that were done are kept."""

    exit_code = 130


class EngineError(SweepError):
    """No process can be started for a trial, whichever trial it is."""


class ClusterLostError(EngineError):
    """The cluster that trials ran on is gone; what is stored stays, and the same command goes on."""

    exit_code = 1


class NothingTrainedError(SweepError):
    """Every trial of a study failed: there is no result."""

    exit_code = 1


class TrialError(SweepError):
    """One trial failed in a way that a sweep survives: it is stored as FAIL with this reason.

    Args:
        reason: One line, stored with the trial and shown to the user.
        detail: More for whoever looks into it, such as the end of the process's log.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return self.reason


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name, or nothing where none is near.

    Example:
        >>> did_you_mean("prunner", ["sampler", "pruner"])
        "; did you mean 'pruner'?"
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
