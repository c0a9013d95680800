"""What the report says of its convolutional nets, in parts that can be counted.

All of this was written down before the experiments ran; `original_study.verdict` holds the rule.
"""

from __future__ import annotations

import math
from typing import Final

from original_study.dense_claims import final_parts
from original_study.effects import Claim, Part, Shown, of
from original_study.margins import ACCURACY, GAP, LOSS, STABLE, TIMES
from original_study.results import Run
from original_study.verdict import AtLeast, Between, Equal

KERNEL_5, KERNEL_3 = (Run("cnn-kernels", f"kernels of {n}", {"kernel_size_1": n}) for n in (5, 3))
FILTERS, HALF = (
    Run("cnn-filters", label, {"filters_1": n})
    for label, n in (("6, 16, 120 filters", 6), ("3, 8, 60 filters", 3))
)
PADDED, UNPADDED = (
    Run("cnn-padding", label, {"padding_1": padding})
    for label, padding in (("kernels of 4, padded", "same"), ("kernels of 4, no padding", "valid"))
)
POOLED, UNPOOLED = (Run("cnn-pooling", f"pools of {n}", {"pool_size": n}) for n in (2, 1))
CNN_LOW_L2, CNN_HIGH_L2 = (
    Run("cnn-l2", f"L2 {l2:.0e}".replace("e-0", "e-"), {"l2": l2}) for l2 in (1e-5, 1e-4)
)
CNN: Final = Run("cnn-final", "LeNet-5")

CNN_CLAIMS: Final = (
    Claim(
        9,
        "cnn",
        "Smaller kernels bring overfitting and leave validation accuracy unchanged and stable.",
        "LeNet-5 with kernels of 5 and of 3 pixels in all three convolutions, 10 epochs.",
        (
            Part("the gap grows", of(KERNEL_3, "gap") - of(KERNEL_5, "gap"), AtLeast(GAP)),
            Part(
                "validation accuracy is unchanged",
                of(KERNEL_3, "val_accuracy") - of(KERNEL_5, "val_accuracy"),
                Equal(ACCURACY),
            ),
            Part(
                "over the last five epochs it swings by less than 1 point",
                -of(KERNEL_3, "swing") + STABLE,
                AtLeast(),
            ),
        ),
        (Shown("gap", (KERNEL_5, KERNEL_3)), Shown("val_accuracy", (KERNEL_5, KERNEL_3))),
    ),
    Claim(
        10,
        "cnn",
        "With half the filters training accuracy ends above validation; the loss is low and flat.",
        "LeNet-5 with 3, 8 and 60 filters, 10 epochs.",
        (
            Part("training accuracy ends above validation", of(HALF, "gap"), AtLeast(GAP)),
            Part(
                f"its validation loss is low: less than {LOSS:g} nats above that of all filters",
                -(of(HALF, "val_cross_entropy") - of(FILTERS, "val_cross_entropy")) + LOSS,
                AtLeast(),
                unit="nats",
            ),
            Part(
                "it is flat: the same after 5 and after 10 epochs",
                of(HALF, "val_cross_entropy", 5) - of(HALF, "val_cross_entropy", 10),
                Equal(LOSS),
                unit="nats",
            ),
        ),
        (Shown("val_cross_entropy", (FILTERS, HALF)), Shown("gap", (FILTERS, HALF))),
    ),
    Claim(
        11,
        "cnn",
        "Kernels of 4 without zero padding do not overfit, but the loss falls less than with padding.",
        "LeNet-5 with kernels of 4, the first convolution with and without padding, 10 epochs.",
        (
            Part(
                f"the gap stays below {100 * GAP:g} points",
                -of(UNPADDED, "gap") + GAP,
                AtLeast(),
            ),
            Part(
                "the validation loss ends higher than with padding",
                of(UNPADDED, "val_cross_entropy") - of(PADDED, "val_cross_entropy"),
                AtLeast(LOSS),
                unit="nats",
            ),
        ),
        (Shown("gap", (PADDED, UNPADDED)), Shown("val_cross_entropy", (PADDED, UNPADDED))),
    ),
    Claim(
        12,
        "cnn",
        "Pools of size 1 take much longer and do not help.",
        "LeNet-5 with pools of 2 and of 1, which is no pooling, 5 epochs.",
        (
            Part(
                f"an epoch takes at least {TIMES:g} times as long",
                of(UNPOOLED, "log_seconds") - of(POOLED, "log_seconds"),
                AtLeast(math.log(TIMES)),
                unit="times",
            ),
            Part(
                f"validation accuracy gains less than {100 * ACCURACY:g} points",
                -(of(UNPOOLED, "val_accuracy") - of(POOLED, "val_accuracy")) + ACCURACY,
                AtLeast(),
            ),
        ),
        (Shown("val_accuracy", (POOLED, UNPOOLED)), Shown("gap", (POOLED, UNPOOLED))),
    ),
    Claim(
        13,
        "cnn",
        "L2 1e-5 gives better results than 1e-4.",
        "LeNet-5 with both penalties on its dense layers, 10 epochs.",
        (
            Part(
                "validation accuracy is higher with 1e-5",
                of(CNN_LOW_L2, "val_accuracy") - of(CNN_HIGH_L2, "val_accuracy"),
                AtLeast(ACCURACY),
            ),
        ),
        (Shown("val_accuracy", (CNN_LOW_L2, CNN_HIGH_L2)), Shown("gap", (CNN_LOW_L2, CNN_HIGH_L2))),
    ),
    Claim(
        14,
        "cnn",
        "10 epochs give a better result than 5.",
        "LeNet-5, one run of 10 epochs for each seed, read after 5 and 10.",
        (
            Part(
                "validation accuracy is higher after 10 epochs",
                of(CNN_LOW_L2, "val_accuracy", 10) - of(CNN_LOW_L2, "val_accuracy", 5),
                AtLeast(ACCURACY),
            ),
        ),
        (Shown("val_accuracy", (CNN_LOW_L2,)), Shown("gap", (CNN_LOW_L2,))),
    ),
    Claim(
        15,
        "cnn",
        "The final CNN reaches 89.96 % on the test set and 89 to 90 % on validation images, its training "
        "accuracy 1 to 2 points above.",
        "LeNet-5 on the report's own validation images, 10 epochs.",
        (
            *final_parts(CNN, test=0.8996),
            Part(
                "validation accuracy is 89 to 90 %",
                of(CNN, "val_accuracy"),
                Between(0.89, 0.90),
                unit="per cent",
            ),
        ),
        (Shown("val_accuracy", (CNN,)), Shown("gap", (CNN,))),
    ),
)
