"""Only the job's seed counts: a model that seeds the generators itself is told of, and passed over."""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf

import fmnist_sweep
from fmnist_sweep.models.load import is_users

_SEEDING: Final = ((random, "seed"), (np.random, "seed"), (tf.random, "set_seed"))
"""What seeds a global generator; `keras.utils.set_random_seed` calls all three."""

_OURS: Final = Path(str(fmnist_sweep.__file__)).parent


@contextmanager
def seeds_kept() -> Iterator[list[str]]:
    """Let no code of the user seed the global generators, and list the lines that tried.

    A model that begins with ``keras.utils.set_random_seed(42)`` would begin all its repeats with the same
    weights, and their spread, which is what intervals are made of, would be too small.

    Yields:
        The lines, each once, such as ``"keras.utils.set_random_seed(42) (net.py:7)"``; filled as it happens.
    """
    tried: list[str] = []

    def guarded(seed: Callable[..., Any]) -> Callable[..., Any]:
        def passed_over(*args: Any, **kwargs: Any) -> Any:
            line = _users_line()
            if line is None:
                # A library's own business.
                return seed(*args, **kwargs)
            if line not in tried:
                tried.append(line)
            return None

        return passed_over

    real = [getattr(module, name) for module, name in _SEEDING]
    for (module, name), seed in zip(_SEEDING, real, strict=True):
        setattr(module, name, guarded(seed))
    try:
        yield tried
    finally:
        for (module, name), seed in zip(_SEEDING, real, strict=True):
            setattr(module, name, seed)


def seeds_note(line: str) -> str:
    """Return the note on a line of `seeds_kept`."""
    return (
        f"the model seeds the random generators itself, {line}; this is passed over, since each training has "
        "a seed of its own, and repeats would otherwise begin with equal weights"
    )


def _users_line() -> str | None:
    """Return the line of the user's code that runs now; None where a library runs by itself."""
    frames = [frame for frame in traceback.extract_stack() if frame.filename != __file__]
    inside = [i for i, frame in enumerate(frames) if Path(frame.filename).is_relative_to(_OURS)]
    # Whatever called us, such as the start of the process, is neither ours nor the user's.
    theirs = [frame for frame in frames[max(inside, default=0) :] if is_users(frame.filename)]
    return f"{theirs[-1].line} ({theirs[-1].filename}:{theirs[-1].lineno})" if theirs else None
