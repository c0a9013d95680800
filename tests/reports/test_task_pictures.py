"""Pictures of predictions, by task: the numbers behind them."""

from __future__ import annotations

import numpy as np

from fmnist_sweep.reports.task_pictures import (
    calibration_points,
    predicted_and_true,
    roc_and_calibration,
    worst_pairs,
)


def test_calibration_compares_what_was_given_with_what_happened() -> None:
    """In tenths; one without rows has no point."""
    given, happened = calibration_points(np.array([0, 1, 1, 0]), np.array([0.05, 0.91, 0.95, 0.99]))
    assert given.tolist() == [0.05, 0.95]
    assert happened.tolist() == [0.0, round(2 / 3, 6)]


def test_a_part_of_one_class_has_no_curve_of_rates() -> None:
    """The other has one, with its area in the legend."""
    y, p = np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.5, 0.9])
    figure = roc_and_calibration({"val": (y, p), "test": (np.ones(4, int), p)}, title="made")
    roc, calibration = figure.axes
    assert roc.get_legend_handles_labels()[1] == ["validation: AUC 0.750"]
    assert calibration.get_legend_handles_labels()[1] == ["validation", "test"]


def test_predictions_are_drawn_against_the_truth_with_what_is_left_over() -> None:
    """A row of panels for each number."""
    y = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])
    figure = predicted_and_true({"val": (y, y + 0.5)}, title="made")
    scatter, residual, *_ = figure.axes
    assert len(figure.axes) == 4
    assert scatter.get_legend_handles_labels()[1] == ["validation: rmse 0.5"]
    np.testing.assert_allclose(np.asarray(residual.collections[0].get_offsets())[:, 1], -0.5)


def test_of_many_classes_the_worst_pairs_are_drawn() -> None:
    """The most frequent on top."""
    figure = worst_pairs([("a taken for b", 7), ("b taken for c", 2)], title="made")
    (axes,) = figure.axes
    assert [round(bar.get_extents().width) > 0 for bar in axes.patches] == [True, True]
    assert [bar.get_path().get_extents(bar.get_patch_transform()).width for bar in axes.patches] == [7, 2]
    assert axes.yaxis_inverted()
