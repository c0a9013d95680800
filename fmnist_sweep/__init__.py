"""Hyperparameter sweeps for Keras models that overfit."""

import sys

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    # Run by `python -m`, which looks into the current folder first: a random.py there is not the library's.
    sys.path.append(sys.path.pop(0))

__version__ = "0.1.0"
