"""Slips in the report's text and code, and what is done about each."""

from __future__ import annotations

from typing import Final, NamedTuple


class Slip(NamedTuple):
    """What is wrong, and how it is handled here."""

    what: str
    handling: str


SLIPS: Final = (
    Slip(
        "The text ends up with tanh for the dense net; the code has ReLU.",
        "The final model is the code's. Claim 6 trains both.",
    ),
    Slip(
        'The logistic function, 1 / (1 + e^-x), is called softmax; ReLU is called "logistic".',
        "The output is a softmax, as in the code. Nothing else depends on it.",
    ),
    Slip(
        "`predict_classes` no longer exists in Keras, and there is no `tf.keras.models.Flatten`.",
        "The class of the largest probability is taken; `keras.layers.Flatten`, as in the report's own code.",
    ),
    Slip(
        "The CNN's test predictions are never made: the matrix saved for it is the dense net's, computed "
        "before. Both are saved as `conf_mat.pdf`, the second over the first.",
        "Each model has its own matrices, in files of its own.",
    ),
    Slip(
        "In the second part all images are divided by 255 again: training and validation images from the raw "
        "arrays, but the test images a second time, which leaves them nearly black.",
        "Every image is divided once. Run from top to bottom, the code as printed would test the CNN on "
        "black images: 89.96 % must have come about in another way.",
    ),
    Slip(
        "126 in row 2, column 6 is read as shirts taken for pullovers; with actual classes in rows, as the "
        "report says and its code has it, they are pullovers taken for shirts.",
        "Claim 8 counts both directions.",
    ),
    Slip(
        "A net is said to overfit where its training accuracy is above validation, and that accuracy is "
        "Keras's: a running mean over the epoch, of a net that was still learning.",
        "The gap is measured after each epoch on fixed training images; every verdict that it enters is "
        "given for both ways.",
    ),
    Slip(
        "The CNN's alternatives were tried for 5 epochs, the final one trained for 10.",
        "They are read after 10, but for claim 12; claim 14 compares the two.",
    ),
    Slip(
        "The accuracy that tuning found hard to improve is that of the test data.",
        "The test set is read once for each final model, after everything else.",
    ),
    Slip(
        "The plotted loss holds the L2 penalty.",
        "The curves below show the cross-entropy alone, on the report's axis from 0 to 1.",
    ),
)
