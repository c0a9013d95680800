"""A preload that ends the fork server as it is imported, as a broken library does, or a lack of memory."""

from __future__ import annotations

import os
from pathlib import Path

with Path(os.environ["DEATHS"]).open("a") as _file:
    _file.write(f"{os.getpid()}\n")
if len(Path(os.environ["DEATHS"]).read_text().split()) <= int(os.environ["N_DEATHS"]):
    os.write(2, b"no room for the library\n")
    if os.environ.get("DEATH") == "signal":
        os.kill(os.getpid(), 9)
    raise RuntimeError("the library is broken")
