"""Studies at rest: where they lie, what they hold, who may write. No sampler and no sweep file here."""

from typing import Final

DEFAULT_STORAGE: Final = "sqlite:///studies.db"
"""Address of the studies where none is given; it stands here since nothing of this is heavy to load."""
