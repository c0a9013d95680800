"""What the page says whatever the numbers are: how a verdict comes about, and how to run it again."""

from __future__ import annotations

from original_study.blocks import Block, Bullets, Code, Heading, Table, Text
from original_study.margins import REASONS


def rule() -> list[Block]:
    """Return how a verdict comes about."""
    return [
        Heading(2, "How a verdict comes about"),
        Text(
            """Each claim is taken apart into effects, each a number for every seed, such as the difference
            of two gaps, with the smallest size that matters. A claim holds if all its parts hold, does not
            hold if one does not, and is undecided otherwise. The rule is `original_study/verdict.py`;
            the claims are in `dense_claims.py` and `cnn_claims.py` beside it."""
        ),
        Bullets(
            (
                """**An effect is there** if its interval lies above 0 and its mean reaches the smallest
                size that matters; it is not if the whole interval lies below that size (a dual criterion:
                Roychoudhury, Scheuer and Neuenschwander 2018).""",
                """**Two are equal** if the interval lies within the smallest size on both sides of 0 (two
                one-sided tests: Schuirmann 1987); they are not if one is surely better by an amount that
                matters.""",
                """**A number lies in a band** that the report names if its whole interval does; it does not
                if the whole interval lies outside.""",
                """**Where the report names a limit**, such as 90 %, the effect is the distance from it, and
                any distance matters.""",
                """Everything else is **undecided at this size**: the interval allows both answers, and more
                seeds would tell. A part whose experiment did not run is not measured yet.""",
            )
        ),
        Text(
            """In the figures a thin line is a seed and a thick one the mean. Beside them are the effects with
            their intervals: blue as measured here, orange with Keras's running mean. Green is what matters:
            an effect whose interval lies within it holds, and the rule decides what lies across its edge."""
        ),
        Table(("measured", "smallest effect that matters", "because"), REASONS),
    ]


def again() -> list[Block]:
    """Return how the page is made again."""
    return [
        Heading(2, "Run it again"),
        Code(
            (
                "make paper                           # under 90 minutes on two cores; goes on",
                "make paper QUICK=1                   # ten minutes: fewer seeds, fewer images",
                "python -m original_study --dry-run   # what is left to train",
                "python -m original_study --seeds 20  # adds to the seeds that are there",
            )
        ),
    ]
