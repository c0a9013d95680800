"""What the settings of a sweep say of how its data are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fmnist_sweep.core.jobs import Scale, SplitKind
from fmnist_sweep.core.wording import shown
from fmnist_sweep.data.calls import SOURCE_PREFIX
from fmnist_sweep.data.fashion_mnist import NAME
from fmnist_sweep.data.groups import GROUPS, HOW
from fmnist_sweep.data.tables import is_table_file, target_problems


@dataclass(frozen=True, slots=True)
class Reading:
    """How data are read, beyond where they are.

    Attributes:
        target: Names of the columns of a table that are predicted.
        groups: Name of what holds the groups: a column, or an array of an ``.npz`` file.
        kind: The kind of split that is asked for.
        scale: What is done to images.

    Example:
        >>> Reading.of({"target": "price", "split": {"kind": "groups", "groups": "town"}}).groups
        'town'
    """

    target: tuple[str, ...] = ()
    groups: str | None = None
    kind: SplitKind | None = None
    scale: Scale = "auto"

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Reading:
        """Return what settings say that are laid out like a sweep file, checked ones or those of a study."""
        target, split = settings.get("target"), settings.get("split", {})
        return cls(
            target=() if target is None else (target,) if isinstance(target, str) else tuple(target),
            groups=split.get("groups"),
            kind=split.get("kind"),
            scale=settings.get("scale", "auto"),
        )

    @property
    def array_of_groups(self) -> str | None:
        """Name of the array of an ``.npz`` file that holds the groups; None where none is asked for."""
        return self.groups or (GROUPS if self.kind == "groups" else None)

    def problems(self, source: str) -> list[str]:
        """Return what can be seen to be wrong before anything is opened, one line each.

        Args:
            source: The data, as a sweep file names them.
        """
        problems = target_problems(source, self.target)
        if self.groups is not None and self.kind not in (None, "groups"):
            problems.append(
                f"split.groups: is for kind = 'groups', and kind is {self.kind!r}; leave one of them out"
            )
        if source == NAME and (self.groups is not None or self.kind == "groups"):
            problems.append(f"split: the images of {NAME} have no groups; take another kind")
        elif self.groups is not None and source.startswith(SOURCE_PREFIX):
            problems.append(f"split.groups: {HOW}")
        if self.scale != "auto" and (is_table_file(source) or source.startswith(SOURCE_PREFIX)):
            problems.append(f"scale: is for images; {shown(source)} is handed to fit as it is: leave it out")
        return problems


AS_IT_IS: Final = Reading()
"""Nothing is said of it."""
