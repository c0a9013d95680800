"""What is said of an export in the metric of its score."""

from __future__ import annotations

from typing import Any

from made_studies import empty_study, stored

from fmnist_sweep.reports.exported import bundle_rows, exported_section
from fmnist_sweep.reports.exported_call import export_words


def number(mean: float) -> dict[str, Any]:
    return {"mean": mean, "interval_95": [mean - 0.01, mean + 0.01]}


def kept(**more: Any) -> dict[str, Any]:
    """Return what a study keeps of a bundle of a regression."""
    curve = {"train_mae": [0.3, 0.2], "val_mae": [0.4, 0.3], "seconds": [1.0, 1.0]}
    scores = {"mae": 0.25, "loss": 0.1}
    return {
        "form": "call",
        "name": "line",
        "trial": 3,
        "confirmed": False,
        "epochs": 2,
        "metric": "mae",
        "measured": {"train": scores, "val": scores},
        "mean": {"train_mae": number(0.2), "val_mae": number(0.3), "gap_to_val": number(0.1)},
        "seeds": [10_000, 10_001],
        "written": "2026-11-27T16:58:00+00:00",
        "untested": "the data have no test part (x_test and y_test)",
        "confusion": {},
        "class_names": [],
        "curve": curve,
        **more,
    }


def test_an_export_is_told_in_its_metric_and_says_why_no_test_part_was_read() -> None:
    """Nothing of accuracies, nor of images."""
    study = stored(empty_study(None, metric="mae", tolerance=0.0))
    words = " ".join(export_words(study, kept()))
    assert "validation mae 0.3000 (0.2900 to 0.3100)" in words
    assert "Gap to validation 0.1000" in words
    assert "No test part was read: the data have no test part (x_test and y_test)." in words
    (row,) = bundle_rows(study, kept())
    assert row[3:6] == ["0.3000 (0.2900 to 0.3100)", "\N{EN DASH}", "\N{EN DASH}"]


def test_what_was_read_beside_it_is_compared_on_the_test_part() -> None:
    """In one reading."""
    tested = kept()
    tested["mean"] |= {"test_mae": number(0.31), "gap_to_test": number(0.11)}
    tested["measured"]["test"] = {"mae": 0.31}
    tested["beside"] = {
        "name": "the model's default",
        "epochs": 4,
        "mean": {"val_mae": number(0.5), "test_mae": number(0.52)},
        "difference": {"val_mae": number(-0.2), "test_mae": number(-0.21)},
    }
    study = stored(empty_study(None, metric="mae", tolerance=0.0))
    words = " ".join(export_words(study, tested))
    assert "Test mae 0.3100 (0.3000 to 0.3200), gap to test 0.1100" in words
    assert "reaches test mae 0.5200 (0.5100 to 0.5300), in the same reading of the test part." in words


def test_the_page_has_a_matrix_where_there_are_classes() -> None:
    """And none for a regression."""
    made = empty_study(None, metric="mae", tolerance=0.0)
    made.set_user_attr("export_of_fit", kept())
    figures: dict[str, Any] = {}
    section = exported_section(stored(made), "s0", figures)
    assert section is not None
    assert (section["matrices"], list(figures)) == ([], ["s0-export-curve"])
    made.set_user_attr("export_of_fit", kept(confusion={"val": [[3, 1], [0, 4]]}, class_names=["0", "1"]))
    section = exported_section(stored(made), "s0", figures)
    assert section is not None
    assert [m["label"] for m in section["matrices"]] == ["validation rows: 87.50 % of 8 right"]
