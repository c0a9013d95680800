"""Build a model at some points of a sweep's space, and say for which values that fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import keras
import keras_tuner as kt

from fmnist_sweep.core.jobs import Hyperparameters
from fmnist_sweep.models.failing import failing_parts
from fmnist_sweep.models.hyperparameters import filled
from fmnist_sweep.models.load import build_model, describe

_MAX_PARTS: Final = 5


def tried_builds(
    hypermodel: kt.HyperModel, points: Sequence[Hyperparameters], input_shape: Sequence[int]
) -> dict[str, Any]:
    """Build a model at each point.

    Args:
        hypermodel: The HyperModel.
        points: Complete points of the space.
        input_shape: Shape of one image, for models that know none themselves; empty where there is no image.

    Returns:
        ``tried``, the number of points; ``failed``, how many of them could not be built; and ``parts``: for
        each cause its ``values``, the ``problem`` that was raised, and ``n``, how many points have it.
    """

    def problem_at(point: Hyperparameters) -> str | None:
        keras.utils.clear_session(free_memory=False)
        try:
            model = build_model(hypermodel, filled(point))
            if not model.built and input_shape:
                model.build((None, *input_shape))
        except BaseException as error:  # noqa: BLE001 - the user's code may raise anything
            return describe(error)
        return None

    told = [(point, problem_at(point)) for point in points]
    failed = [(point, problem) for point, problem in told if problem is not None]
    sound = [point for point, problem in told if problem is None]
    if not failed or not sound:
        parts = [{"values": {}, "problem": problem, "n": len(failed)} for _, problem in failed[:1]]
        return {"tried": len(told), "failed": len(failed), "parts": parts}
    # What did build stands for the defaults: the sweep may not hold the model's own.
    usual = {name: value for point in [*points, *reversed(sound)] for name, value in point.items()}
    found = failing_parts(
        failed,
        usual,
        lambda name: list(dict.fromkeys(point[name] for point in points if name in point))[:4],
        lambda values: problem_at({**usual, **values}) is not None,
        most=_MAX_PARTS,
    )
    parts = [{"values": dict(p.values), "problem": p.problem, "n": p.n_failed} for p in found]
    return {"tried": len(told), "failed": len(failed), "parts": parts}
