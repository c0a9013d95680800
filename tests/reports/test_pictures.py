from __future__ import annotations

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


def test_a_curve_of_one_epoch_and_one_seed_is_drawn(tmp_path: Path) -> None:
    """The shortest curve there is has a picture too."""
    figure = pictures.learning_curve([scripted_curve(0.9, 0.02, n_epochs=1)], title="made")
    pictures.save(figure, tmp_path / "curve.png")
    assert n_colors(tmp_path / "curve.png") > 20


def test_mistakes_name_both_classes_and_the_confidence(tmp_path: Path) -> None:
    """Each picture says what it is, what it was taken for, and how sure the model was."""
    images = np.random.default_rng(0).random((3, 8, 8, 1))
    figure = pictures.misclassified(images, ["a", "b", "c"], ["b", "c", "a"], [0.991, 0.5, 0.4], title="made")
    assert "actual a\npredicted b\n99.1 % sure" in text_of(figure)
    pictures.save(figure, tmp_path / "worst.png")
    assert n_colors(tmp_path / "worst.png") > 50


def test_no_mistakes_are_a_picture_too(tmp_path: Path) -> None:
    """A perfect model breaks nothing."""
    figure = pictures.misclassified(np.zeros((0, 8, 8, 1)), [], [], [], title="made")
    pictures.save(figure, tmp_path / "worst.png")


def test_color_images_are_shown_in_color(tmp_path: Path) -> None:
    """Three channels are colours."""
    figure = pictures.misclassified(np.full((1, 8, 8, 3), 0.5), ["a"], ["b"], [0.9], title="made")
    pictures.save(figure, tmp_path / "worst.png")
