"""What importing the models package gives."""

from __future__ import annotations

import pytest

from fmnist_sweep import models


def test_the_package_lists_its_models() -> None:
    """Completion and star imports see both models."""
    assert {"ConvModel", "DenseModel"} <= set(dir(models))
    assert models.__all__ == ["ConvModel", "DenseModel"]


def test_an_unknown_name_is_an_attribute_error() -> None:
    """Lazy loading changes nothing for a misspelt name."""
    with pytest.raises(AttributeError, match=r"'fmnist_sweep\.models' has no attribute 'DensModel'"):
        models.DensModel  # noqa: B018
