"""What kind of prediction an output is, by what was delivered of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fmnist_sweep.export.outputs import outputs_of

SHARES = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.5, 0.4, 0.1]])


@pytest.mark.parametrize(
    ("y", "outputs", "kind"),
    [
        (np.array([0, 1, 2, 1]), SHARES, "classes"),
        (np.array([0.0, 1.0, 2.0, 1.0]), SHARES, "classes"),
        (np.eye(3)[[0, 1, 2, 1]], SHARES, "classes"),
        (np.array([0, 1, 1, 0]), np.array([[0.2], [0.9], [0.6], [0.1]]), "binary"),
        (np.array([[0], [1], [1], [0]]), np.array([0.2, 0.9, 0.6, 0.1]), "binary"),
        (np.array([[1, 1, 0], [0, 0, 0], [1, 0, 1], [0, 1, 0]]), SHARES, "labels"),
        (np.array([0.3, 1.2, -1.0, 4.0]), np.array([[0.2], [0.9], [0.6], [0.1]]), "regression"),
        (np.array([0, 1, 1, 0]), np.array([[0.2], [1.9], [0.6], [-0.1]]), "regression"),
        (np.ones((4, 3)) * 0.5, SHARES, "regression"),
    ],
)
def test_targets_and_outputs_tell_what_is_predicted(y: Any, outputs: Any, kind: str) -> None:
    """Classes by number or one column each, one of two, several labels, or real numbers."""
    (found,) = outputs_of({"val/y": y, "val/outputs": outputs}, from_logits=False)
    assert (found.name, found.kind, set(found.parts)) == ("", kind, {"val"})
    if kind == "classes":
        assert found.parts["val"][0].tolist() == [0, 1, 2, 1]


def test_logits_become_probabilities() -> None:
    """Of several classes by softmax, of two by the logistic function."""
    logits = np.array([[2.0, -1.0], [0.0, 3.0]])
    (several,) = outputs_of({"val/y": np.array([0, 1]), "val/outputs": logits}, from_logits=True)
    np.testing.assert_allclose(several.parts["val"][1].sum(axis=1), 1.0)
    (one,) = outputs_of({"val/y": np.array([0, 1]), "val/outputs": logits[:, :1]}, from_logits=True)
    assert one.kind == "binary"
    np.testing.assert_allclose(one.parts["val"][1], [0.880797, 0.5], atol=1e-6)


def test_a_class_for_each_pixel_is_a_row() -> None:
    """Of a segmentation, as of the steps of a sequence."""
    y = np.arange(12).reshape(2, 2, 3) % 3
    outputs = np.eye(3)[y] * 0.9 + 0.03
    (found,) = outputs_of({"val/y": y, "val/outputs": outputs}, from_logits=False)
    assert found.kind == "classes"
    assert found.parts["val"][0].tolist() == y.reshape(-1).tolist()


def test_outputs_of_several_names_are_told_apart() -> None:
    """One whose targets are not known by its name is left out, as is text."""
    arrays = {
        "val/y/kind": np.array([0, 1, 1, 0]),
        "val/outputs/kind": np.array([[0.2], [0.9], [0.6], [0.1]]),
        "val/y/size": np.array([1.5, 2.0, 3.0, 4.5]),
        "val/outputs/size": np.array([[1.0], [2.0], [3.0], [4.0]]),
        "val/outputs/other": np.zeros((4, 1)),
        "val/y/text": np.array(["a", "b", "c", "d"]),
        "val/outputs/text": np.zeros((4, 1)),
    }
    found = {one.name: one.kind for one in outputs_of(arrays, from_logits=False)}
    assert found == {"kind": "binary", "size": "regression"}
