"""All claims of the report, in the order of the page."""

from __future__ import annotations

from typing import Final

from fmnist_sweep.paper.cnn_claims import CNN_CLAIMS
from fmnist_sweep.paper.dense_claims import DENSE_CLAIMS
from fmnist_sweep.paper.effects import Claim

CLAIMS: Final[tuple[Claim, ...]] = (*DENSE_CLAIMS, *CNN_CLAIMS)
