"""The smallest effects that matter, with their reasons: written down before the experiments ran."""

from __future__ import annotations

from typing import Final

ACCURACY: Final = 0.005
"""Half a point: 25 of 5,000 validation images, and about the standard error of an accuracy of 89 % on them.
Who compares two single runs can't see less."""

GAP: Final = 0.005
"""Half a point, for the same reason; and half the width of the 1 to 2 points that the report calls "not very
significant"."""

LOSS: Final = 0.03
"""Nats of cross-entropy: a tenth of the 0.3 that such models come to on validation images."""

TIMES: Final = 2.0
"""An epoch takes "much longer" from twice the time on."""

MUCH_OVERFITTING: Final = 0.02
"""The report calls gaps of 1 to 2 points insignificant: "a lot" begins above."""

STABLE: Final = 0.01
"""An accuracy is stable whose last five epochs lie within one point: twice the smallest effect."""

REASONS: Final[tuple[tuple[str, str, str], ...]] = (
    (
        "accuracy",
        f"{100 * ACCURACY:g} points",
        (
            "25 of 5,000 validation images, about the standard error of an accuracy of 89 % on them: who "
            "compares two single runs can't see less"
        ),
    ),
    (
        "gap",
        f"{100 * GAP:g} points",
        "the same, and half the width of the 1 to 2 points that the report calls insignificant",
    ),
    ("cross-entropy", f"{LOSS:g} nats", "a tenth of what such models come to on validation images"),
    ("seconds an epoch", f"{TIMES:g} times", '"much longer" begins at twice the time'),
)
"""What is measured, the smallest effect that matters, and why. Where a claim names a limit itself, such as
90 %, that limit is taken and nothing is added."""
