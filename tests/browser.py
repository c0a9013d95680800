"""Pages as a real browser shows them, for tests that need one."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks.interactive import CHROMIUM_FLAGS

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (*CHROMIUM_FLAGS, "--window-size=1200,6000")

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"
)


def opened(address: str, profile: Path) -> str:
    """Open a page and return its document as it stands after its scripts ran."""
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "--dump-dom", address]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


def answers(document: str, element: str) -> Any:
    """Return the JSON that a script left in an element."""
    return json.loads(html.unescape(re.findall(rf'<pre id="{element}">(.*?)</pre>', document, re.DOTALL)[0]))
