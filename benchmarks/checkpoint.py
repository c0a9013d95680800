"""What a checkpoint takes: ``python -m benchmarks.checkpoint [FOLDER]``.

Writes the state of the default nets, optimizer included, fifty times into a folder, by default the working
directory, and prints the file's size and the median time of a write, which ends when all is on the disk.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.models import ConvModel, DenseModel
from fmnist_sweep.models.hyperparameters import filled
from fmnist_sweep.training.checkpoint import Checkpoint, CheckpointFile

N_WRITES = 50
EPOCHS = tuple(EpochScores.of_classes(epoch, 0.9, 0.3, 0.88, 0.35, 1.234) for epoch in range(30))


def main() -> None:
    """Print a line for each net."""
    parent = Path(sys.argv[1]) if len(sys.argv) == 2 else Path.cwd()
    print("net      optimizer   size (MB)   write (ms)")
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        for kind in (DenseModel, ConvModel):
            model = kind().build(filled({}))
            model.build((None, 28, 28, 1))
            model.optimizer.build(model.trainable_variables)
            arrays = tuple(v.numpy() for v in [*model.variables, *model.optimizer.variables])
            path = Path(folder) / kind.__name__
            file = CheckpointFile(path, "0" * 64)
            times = []
            for _ in range(N_WRITES):
                began = time.perf_counter()
                problem = file.save(Checkpoint(EPOCHS, arrays))
                if problem is not None:
                    sys.exit(f"{folder} can't be written: {problem}")
                times.append(1000 * (time.perf_counter() - began))
            name = kind.__name__.removesuffix("Model").lower()
            size = path.stat().st_size / 1e6
            print(
                f"{name:<9}{type(model.optimizer).__name__:<9}{size:>12.1f}{statistics.median(times):>13.1f}"
            )


if __name__ == "__main__":
    main()
