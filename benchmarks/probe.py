"""What a smaller or rotating train probe does to the gap's noise: ``python -m benchmarks.probe [EPOCHS]``.

Trains the default dense net and the default CNN on all 55,000 training images, measures all of them after
each epoch, and replays probes of several sizes from that, 2,000 draws each. Columns, in points: ``probe``,
the standard error of an epoch's train accuracy; ``gap``, with what the 5,000 validation images add, which no
probe lessens; ``change``, the standard error of what the train accuracy gains from one epoch to the next with
one probe for all epochs, as sweeps have it, and ``rotating``, with another one each epoch. Seconds are
processor seconds to measure probe and validation images once, and their share of an epoch's training.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Final

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import numpy.typing as npt

from fmnist_sweep.core.jobs import SplitSpec
from fmnist_sweep.data import load_split, open_data
from fmnist_sweep.models import ConvModel, DenseModel
from fmnist_sweep.models.hyperparameters import filled
from fmnist_sweep.training.runtime import predictor, set_up_tensorflow
from fmnist_sweep.training.trainer import _compiled_epoch

SIZES: Final = (1_000, 2_500, 5_000, 10_000, 20_000)
N_DRAWS: Final = 2_000
WIDTHS: Final = (8, 8, 8, 9, 10, 9, 13)

Correct = npt.NDArray[np.float64]


def noise(correct: Correct, n: int, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return standard errors of probes, as shares of images.

    Args:
        correct: Shape ``(n_epochs, n_train)``: 1 where an image is told right after an epoch.
        n: Images of a probe.
        rng: Draws the probes.

    Returns:
        Of an epoch's train accuracy; of its change from an epoch to the next with one probe for both; with a
        probe for each.

    Example:
        >>> noise(np.ones((2, 50)), 10, np.random.default_rng(0))
        (0.0, 0.0, 0.0)
    """
    n_train = correct.shape[1]
    probes = [rng.choice(n_train, n, replace=False, shuffle=False) for _ in range(N_DRAWS)]
    means = np.stack([correct[:, probe].mean(axis=1) for probe in probes]) - correct.mean(axis=1)
    others = np.roll(means, 1, axis=0)
    fixed = np.diff(means, axis=1)
    rotating = means[:, 1:] - others[:, :-1]
    return tuple(float(np.sqrt((of**2).mean())) for of in (means, fixed, rotating))  # type: ignore[return-value]


def trained(kind: Any, n_epochs: int) -> tuple[Correct, float, dict[int, float], float]:
    """Train a default net.

    Returns:
        Which training images are right after each epoch, the validation accuracy of the last, processor
        seconds to measure each size of a probe with the validation images, and of an epoch's training.
    """
    split = load_split(open_data(), SplitSpec())
    keras.utils.set_random_seed(0)
    model = kind().build(filled({"batch_size": 32}))
    epoch = _compiled_epoch(model, split, 32)
    predict, predict_val = (predictor(model, x) for x in (split.x_train, split.x_val))
    rows, seconds = [], []
    for i in range(n_epochs):
        order = np.random.default_rng((0, i)).permutation(len(split.y_train)).astype(np.int32)
        began = time.process_time()
        epoch(order)
        seconds.append(time.process_time() - began)
        rows.append((predict().argmax(axis=1) == split.y_train).astype(float))
    val = float((predict_val().argmax(axis=1) == split.y_val).mean())
    measuring = {}
    for n in SIZES:
        measure = predictor(model, np.concatenate([split.x_train[:n], split.x_val]))
        measure()
        began = time.process_time()
        measure()
        measuring[n] = time.process_time() - began
    return np.stack(rows), val, measuring, min(seconds)


def main() -> None:
    """Print a table for each net."""
    n_epochs = int(sys.argv[1]) if len(sys.argv) == 2 else 8
    set_up_tensorflow()
    for name, kind in (("dense", DenseModel), ("cnn", ConvModel)):
        correct, val, measuring, epoch_s = trained(kind, n_epochs)
        of_val = np.sqrt(val * (1 - val) / 5_000)
        print(
            f"{name}: {n_epochs} epochs, train {100 * correct[-1].mean():.2f} %, "
            f"validation {100 * val:.2f} %; 5,000 validation images alone {100 * of_val:.2f} points"
        )
        heads = ("images", "probe", "gap", "change", "rotating", "seconds", "of an epoch")
        print("".join(f"{head:>{width}}" for head, width in zip(heads, WIDTHS, strict=True)))
        for n in SIZES:
            one, fixed, rotating = noise(correct, n, np.random.default_rng(n))
            whole = np.hypot(one, of_val)
            points = (f"{100 * error:.2f}" for error in (one, whole, fixed, rotating))
            cells = (f"{n:,}", *points, f"{measuring[n]:.2f}", f"{measuring[n] / epoch_s:.1%}")
            print("".join(f"{c:>{w}}" for c, w in zip(cells, WIDTHS, strict=True)), flush=True)


if __name__ == "__main__":
    main()
