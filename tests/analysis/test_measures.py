from __future__ import annotations

import math

import numpy as np
import pytest
from made_exports import made_predictions

from fmnist_sweep.analysis import measures


def test_one_models_accuracy_has_wilsons_interval() -> None:
    """The interval is Wilson's, worked out here from its formula."""
    probabilities, labels = made_predictions(1000, accuracy=0.9, seed=0)
    scores = measures.part_scores(probabilities, labels)
    n, p, z = 1000, scores["accuracy"], 1.959964
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    margin = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert p == (probabilities.argmax(axis=1) == labels).mean()
    assert scores["accuracy_95"] == pytest.approx([middle - margin, middle + margin], abs=1e-6)


def test_cross_entropy_is_that_of_training() -> None:
    """An export and a learning curve measure the same thing."""
    from fmnist_sweep.training.measure import accuracy_and_cross_entropy

    probabilities, labels = made_predictions(500, accuracy=0.8, seed=1)
    accuracy, cross_entropy = accuracy_and_cross_entropy(probabilities, labels, from_logits=False)
    scores = measures.part_scores(probabilities, labels)
    assert scores["accuracy"] == accuracy
    assert scores["cross_entropy"] == pytest.approx(cross_entropy, abs=2e-6)
    low, high = scores["cross_entropy_95"]
    assert low < scores["cross_entropy"] < high


def test_one_certain_mistake_is_no_infinity() -> None:
    """A probability of 0 for the right class is clipped."""
    scores = measures.part_scores(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1]))
    assert scores["cross_entropy"] == pytest.approx(-math.log(1e-7) / 2, abs=1e-5)


def test_gaps_are_train_minus_the_others() -> None:
    """A positive gap is overfitting, to validation as to test; without a test set there is one gap."""
    parts = {
        part: made_predictions(1000, accuracy=accuracy, seed=2)
        for part, accuracy in (("train", 0.95), ("val", 0.92), ("test", 0.9))
    }
    scores = measures.model_scores(parts)
    for part in ("val", "test"):
        gap = scores["train"]["accuracy"] - scores[part]["accuracy"]
        assert scores[f"gap_to_{part}"] == pytest.approx(gap)
        assert gap > 0
    assert "gap_to_test" not in measures.model_scores({part: parts[part] for part in ("train", "val")})


def test_repeats_have_students_interval() -> None:
    """Five values have four degrees of freedom; one value has no interval."""
    values = [0.90, 0.91, 0.89, 0.92, 0.88]
    found = measures.mean_interval(values)
    margin = 2.776445 * np.std(values, ddof=1) / math.sqrt(5)
    assert found["mean"] == 0.9
    assert found["interval_95"] == pytest.approx([0.9 - margin, 0.9 + margin], abs=1e-6)
    assert measures.mean_interval([0.9]) == {"mean": 0.9, "interval_95": None}


def test_the_matrix_has_actual_classes_in_rows() -> None:
    """Made mistakes go from each class to the next one, so they lie right of the diagonal."""
    probabilities, labels = made_predictions(200, accuracy=0.5, seed=3, n_classes=4)
    counts = measures.confusion(probabilities, labels)
    assert counts.sum(axis=1).tolist() == [50] * 4
    assert counts[0, 1] > 0
    assert counts[1, 0] == 0
    assert np.trace(counts) + sum(counts[i, (i + 1) % 4] for i in range(4)) == 200


def test_confused_pairs_are_told_in_words_the_worst_first() -> None:
    """Each names both classes, the count, and its share of the actual class; what never is, is left out."""
    counts = np.array([[90, 10, 0], [3, 97, 0], [25, 0, 75]])
    pairs = measures.most_confused(counts, ["Shirt", "Coat", "Bag"])
    assert [str(pair) for pair in pairs] == [
        "Bag taken for Shirt: 25 of 100 (25.0 %)",
        "Shirt taken for Coat: 10 of 100 (10.0 %)",
        "Coat taken for Shirt: 3 of 100 (3.0 %)",
    ]
    assert len(measures.most_confused(counts, ["a", "b", "c"], n=2)) == 2


def test_the_table_has_every_class_and_its_support() -> None:
    """A class that is never predicted is in it too, with precision 0 and without a warning."""
    table = measures.classification_table(np.tile([0.9, 0.1], (4, 1)), np.array([0, 0, 0, 1]), ["a", "b"])
    assert table["class"].tolist() == ["a", "b", "macro avg", "weighted avg"]
    assert table["support"].tolist() == [3, 1, 4, 4]
    assert table["precision"].tolist()[:2] == [0.75, 0.0]


def test_no_interval_reaches_beyond_what_can_be() -> None:
    """Two trainings say little, but an accuracy is in [0, 1] and a cross-entropy not below 0."""
    rows = [
        {part: {"accuracy": a, "cross_entropy": c} for part in ("train", "val")} | {"gap_val": gap}
        for a, c, gap in ((0.99, 0.01, 0.9), (0.91, 0.20, -0.2))
    ]
    found = measures.over_repeats(rows)
    assert found["val_accuracy"]["interval_95"][1] == 1.0
    assert found["train_cross_entropy"]["interval_95"][0] == 0.0
    assert found["gap_val"]["interval_95"] == [-1.0, 1.0]
