"""All claims of the report, in the order of the page."""

from __future__ import annotations

from typing import Final

from original_study.cnn_claims import CNN_CLAIMS
from original_study.dense_claims import DENSE_CLAIMS
from original_study.effects import Claim

CLAIMS: Final[tuple[Claim, ...]] = (*DENSE_CLAIMS, *CNN_CLAIMS)
