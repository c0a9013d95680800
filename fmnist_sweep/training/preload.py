"""Imports all that a training process needs; the fork server imports this module before it forks.

Working at import is its whole purpose: done once here, it is done for every trial, and a child is ready in a
fraction of a second. No TensorFlow operation may run here: it would start threads, and a fork copies none.
What C libraries print as they are imported goes where the process's other words go: to the file that keeps a
server's last words, or to a trial's log.
"""

from __future__ import annotations

import gc
import importlib
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# One core for each process: see the threads that the trainer sets for TensorFlow itself.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
importlib.import_module("fmnist_sweep.training.trainer")
# What is imported stays for good: the children's collectors needn't walk it, nor unshare its pages.
gc.collect()
gc.freeze()
