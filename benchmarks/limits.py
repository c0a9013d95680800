"""What one core can do, and how much of it a training step takes: ``python -m benchmarks.limits [IMAGES]``.

Matrix products by TensorFlow on one thread, a large one and those of the default nets' layers at a batch of
32, and the rate at which memory is copied. Then an epoch of each net as sweeps train it: its arithmetic at
the rate of the large product, and what Adam reads and writes at the rate of the copy, are the least that the
machine allows; the share is that over the time measured. Beside it stands what an epoch of the same
arithmetic takes that is written by hand (`benchmarks.by_hand`). All are processor seconds, the least of
several.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from benchmarks.by_hand import epoch_of
from benchmarks.steps import NETS
from fmnist_sweep.core.jobs import SplitSpec
from fmnist_sweep.data import load_split, open_data
from fmnist_sweep.models.hyperparameters import filled
from fmnist_sweep.training.runtime import set_up_tensorflow
from fmnist_sweep.training.trainer import _compiled_epoch

BATCH: Final = 32
LARGE: Final = (2048, 2048, 2048)
COPIED_BYTES: Final = 2**28
ADAM_PASSES: Final = 7
"""Gradient, weight and both moments are read, the last three written."""

WANTED: Final = ("dense, batch 32", "cnn, batch 32")

_SECONDS: Final = 0.2
_N_TIMES: Final = 7


def least_seconds(work: Callable[[], object]) -> float:
    """Return the processor seconds of one call: of as many as take a while, the least of several times."""
    work()
    began = time.process_time()
    work()
    n = max(1, round(_SECONDS / max(time.process_time() - began, 1e-6)))
    seen = []
    for _ in range(_N_TIMES):
        began = time.process_time()
        for _ in range(n):
            work()
        seen.append((time.process_time() - began) / n)
    return min(seen)


def product_rate(m: int, k: int, n: int) -> float:
    """Return the FLOPs a second of the product of an ``m x k`` and a ``k x n`` matrix.

    Small ones are repeated inside one function, as a step's are.
    """
    flops = 2.0 * m * k * n
    times = max(1, round(2e8 / flops))

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def products(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        def again(i: tf.Tensor, last: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # Each hangs on the one before by its smaller matrix, or TensorFlow would take only one.
            nothing = last[0, 0] * 0.0
            return i + 1, tf.matmul(a + nothing, b) if m < n else tf.matmul(a, b + nothing)

        return tf.while_loop(lambda i, _: i < times, again, (tf.constant(0), tf.zeros((m, n))))[1]

    a, b = tf.ones((m, k)), tf.ones((k, n))
    return flops * times / least_seconds(lambda: products(a, b))


def copy_rate() -> float:
    """Return the bytes a second, read and written, of a copy that no cache holds."""
    source = np.ones(COPIED_BYTES // 4, np.float32)
    target = np.empty_like(source)
    return 2.0 * COPIED_BYTES / least_seconds(lambda: np.copyto(target, source))


def layer_products(model: keras.Model) -> Iterator[tuple[int, int, int]]:
    """Yield ``rows of one image, inputs, outputs`` of each layer with weights, as one matrix product."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            yield 1, *layer.kernel.shape
        elif isinstance(layer, keras.layers.Conv2D):
            *window, n_out = layer.kernel.shape
            yield math.prod(layer.output.shape[1:-1]), math.prod(window), n_out


def flops_of(model: keras.Model) -> float:
    """Return the FLOPs that the products of a step take for an image.

    Forward, the gradient of the weights, and that of the inputs of all layers but the first.
    """
    forward = [2.0 * m * k * n for m, k, n in layer_products(model)]
    return 3 * sum(forward) - forward[0]


def main() -> None:
    """Print both tables."""
    n = int(sys.argv[1]) if len(sys.argv) == 2 else 20_000
    set_up_tensorflow()
    nets: dict[str, Any] = {
        name: kind().build(filled(values)) for name, (kind, values) in NETS.items() if name in WANTED
    }
    large, copied = product_rate(*LARGE), copy_rate()
    print(f"load of the machine {os.getloadavg()[0]:.1f}\n\n{'on one core':<48}{'GFLOP/s':>9}")
    print(f"  {'product of ' + ' x '.join(map(str, LARGE)):<46}{large / 1e9:>9.1f}")
    for name, model in nets.items():
        for m, k, width in layer_products(model):
            told = f"{name}: {m * BATCH} x {k} x {width}"
            print(f"  {told:<46}{product_rate(m * BATCH, k, width) / 1e9:>9.1f}", flush=True)
    print(f"  {'copy, GB/s':<46}{copied / 1e9:>9.1f}")
    split = load_split(open_data(), SplitSpec(train_size=n))
    order = np.random.default_rng(0).permutation(n).astype(np.int32)
    columns = f"{'MFLOP an image':>16}{'limit (s)':>11}{'by hand (s)':>13}{'takes (s)':>11}{'share':>8}"
    print(f"\n{f'an epoch of {n:,} images':<26}{columns}")
    for name, model in nets.items():
        arithmetic = n * flops_of(model) / large
        traffic = math.ceil(n / BATCH) * ADAM_PASSES * 4 * model.count_params() / copied
        taken = least_seconds(partial(_compiled_epoch(model, split, BATCH), order))
        limit = arithmetic + traffic
        bare = epoch_of(name.partition(",")[0], model, split.x_train, split.y_train)
        by_hand = "-" if bare is None else f"{least_seconds(partial(bare, order)):.2f}"
        told = f"{flops_of(model) / 1e6:>16.2f}{limit:>11.2f}{by_hand:>13}{taken:>11.2f}"
        print(f"{name:<26}{told}{limit / taken:>8.0%}", flush=True)
    print("limit: all products at the large one's rate, and what Adam reads and writes at the copy's")
    print("by hand: benchmarks/epochs.cpp, whose gradients are TensorFlow's; -: no g++ here")


if __name__ == "__main__":
    main()
