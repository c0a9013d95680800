"""What tests of the report page read in it."""

from __future__ import annotations

import base64
import gzip
import re


def unpacked(page: str, element: str) -> str:
    """Return what a page holds compressed, as its own script reads it."""
    letters = re.findall(rf'id="{element}">(.*?)</script>', page)[0]
    return gzip.decompress(base64.b64decode(letters)).decode()
