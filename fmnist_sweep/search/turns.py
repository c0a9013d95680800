"""The turns of the loop: what one of them tells the study is written together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import optuna

from fmnist_sweep.storage.held import HeldStorage, holding


class Turns:
    """Those of one run.

    Args:
        study: The study, which this process is the one to write.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self._held: HeldStorage | None = None
        self._after: list[Callable[[], None]] | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the study in this block."""
        with holding(self._study) as self._held:
            yield

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Tell in this block what came in one turn: the ends of trials are written together at its end.

        What `then` takes is done after that, unless the block, or the writing, raises something.
        """
        after: list[Callable[[], None]] = []
        self._after = after
        try:
            with nullcontext() if self._held is None else self._held.together():
                yield
        finally:
            self._after = None
        for what in after:
            what()

    def then(self, what: Callable[[], None]) -> None:
        """Do something that must not come before the ends of trials that were told are written."""
        if self._after is None:
            what()
        else:
            self._after.append(what)

    def write(self) -> None:
        """Write all that was told, now."""
        if self._held is not None:
            self._held.write()
