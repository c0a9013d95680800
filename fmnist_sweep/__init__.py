"""Hyperparameter sweeps for Keras models that overfit."""

__version__ = "0.1.0"
