from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from made_exports import made_predictions
from made_studies import scripted_curve
from matplotlib.figure import Figure
from matplotlib.text import Text

from fmnist_sweep.analysis import measures
from fmnist_sweep.reports import pictures


def text_of(figure: Figure) -> str:
    """Return all that stands in a figure."""
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def drawn(figure: Figure) -> Figure:
    """Return a figure whose parts have their places."""
    figure.canvas.draw()
    return figure


def n_colors(path: Path) -> int:
    """Return how many different pixels a picture has."""
    from matplotlib.image import imread

    pixels = imread(path)
    return len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0))


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [2, 10, 15, 40])
def test_the_matrix_shows_each_part(tmp_path: Path, n_classes: int) -> None:
    """Counts and shares stand in the cells while there is room; a panel tells its part and its accuracy."""
    names = [f"class {i}" for i in range(n_classes)]
    counts = {
        part: measures.confusion(*made_predictions(600, accuracy=0.9, seed=seed, n_classes=n_classes))
        for seed, part in enumerate(("train", "val", "test"))
    }
    figure = pictures.confusion_matrices(counts, names, title="made")
    text = text_of(figure)
    assert "training: 600 images" in text
    assert "test: 600 images" in text
    assert ("class 1" in text) == (n_classes <= 24)
    cell = f"{counts['test'][0, 0]:,}\n{100 * counts['test'][0, 0] / counts['test'][0].sum():.1f} %"
    assert (cell in text) == (n_classes <= 12)
    titles = [text for text in drawn(figure).findobj(Text) if text.get_text().endswith("right")]
    assert len(titles) == 3
    for one, following in pairwise(title.get_window_extent() for title in titles):
        assert one.x1 < following.x0, "a panel's title runs into the next one's"
    if n_classes == 10:
        pictures.save(figure, tmp_path / "matrix.png", tmp_path / "matrix.pdf")
        assert n_colors(tmp_path / "matrix.png") > 50
        assert (tmp_path / "matrix.pdf").read_bytes().startswith(b"%PDF")


def one_epoch() -> Figure:
    return pictures.learning_curve([scripted_curve(0.9, 0.02, n_epochs=1)], title="made")


def three_mistakes() -> Figure:
    images = np.random.default_rng(0).random((3, 8, 8, 1))
    return pictures.misclassified(images, ["a", "b", "c"], ["b", "c", "a"], [0.991, 0.5, 0.4], title="made")


def no_mistakes() -> Figure:
    return pictures.misclassified(np.zeros((0, 8, 8, 1)), [], [], [], title="made")


def mistake_in_color() -> Figure:
    return pictures.misclassified(np.full((1, 8, 8, 3), 0.5), ["a"], ["b"], [0.9], title="made")


def test_mistakes_name_both_classes_and_the_confidence() -> None:
    """Each picture says what it is, what it was taken for, and how sure the model was."""
    assert "actual a\npredicted b\n99.1 % sure" in text_of(three_mistakes())


@pytest.mark.parametrize("make", [one_epoch, no_mistakes, mistake_in_color])
def test_the_smallest_figures_are_made(make: Callable[[], Figure]) -> None:
    """One epoch and one seed, a perfect model, and three channels, which are colours."""
    assert "made" in text_of(make())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "more_than"), [(one_epoch, 20), (three_mistakes, 50), (no_mistakes, 1), (mistake_in_color, 1)]
)
def test_figures_can_be_rendered(make: Callable[[], Figure], more_than: int, tmp_path: Path) -> None:
    """However little there is to draw, there is a picture of it."""
    pictures.save(make(), tmp_path / "picture.png")
    assert n_colors(tmp_path / "picture.png") > more_than
