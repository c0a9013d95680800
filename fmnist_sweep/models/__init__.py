"""KerasTuner HyperModels: the built-in ones, and how a user's own are loaded. Keras loads on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fmnist_sweep.models.cnn import ConvModel
    from fmnist_sweep.models.dense import DenseModel

__all__ = ["ConvModel", "DenseModel"]

_MODULES: Final = {"ConvModel": "fmnist_sweep.models.cnn", "DenseModel": "fmnist_sweep.models.dense"}


def __getattr__(name: str) -> Any:
    """Import a model when it is first asked for, so that importing this package loads no Keras."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
