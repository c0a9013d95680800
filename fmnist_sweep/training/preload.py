"""Imports all that a training process needs; the fork server imports this module before it forks.

Working at import is its whole purpose: done once here, it is done for every trial, and a child is ready in a
fraction of a second. No TensorFlow operation may run here: it would start threads, and a fork copies none.
"""

from __future__ import annotations

import gc
import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _silenced_stderr() -> Iterator[None]:
    """Drop what C libraries print: they greet on the user's terminal whatever their log level is."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# One core for each process: see the threads that the trainer sets for TensorFlow itself.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
with _silenced_stderr():
    importlib.import_module("fmnist_sweep.training.trainer")
# What is imported stays for good: the children's collectors needn't walk it, nor unshare its pages.
gc.collect()
gc.freeze()
