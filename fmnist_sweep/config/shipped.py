"""The sweep files that come with the package, by name: `fmnist-sweep run dense` works in any folder."""

from __future__ import annotations

from pathlib import Path

import fmnist_sweep
from fmnist_sweep.core.errors import did_you_mean


def shipped_sweeps() -> dict[str, Path]:
    """Return the sweep files that come with the package by their names, in order.

    Example:
        >>> list(shipped_sweeps())
        ['cnn', 'cnn-large', 'cnn-regularised', 'dense', 'dense-regularised', 'smoke']
    """
    package = Path(str(fmnist_sweep.__file__)).parent
    # A wheel holds them inside the package; sources have them at the top, where people edit them.
    inside, above = package / "sweeps", package.parent / "sweeps"
    from_sources = not inside.is_dir() and (package.parent / "pyproject.toml").is_file()
    found = {path.stem: path for path in (above if from_sources else inside).glob("*.toml")}
    return dict(sorted(found.items()))


def shipped_sweep(given: Path) -> Path | None:
    """Return the shipped sweep file that a user names; None where the name is that of a file, or of nothing.

    Args:
        given: A path, or a name: a file goes before a shipped sweep of its name, a folder doesn't.
    """
    try:
        is_file = given.is_file()
    except (OSError, ValueError):
        # What no file can be called: whoever reads it says why.
        return None
    return None if is_file else shipped_sweeps().get(str(given))


def no_such_file(given: Path) -> str:
    """Return what is wrong with a path that is neither a file nor the name of a shipped sweep.

    Example:
        >>> no_such_file(Path("sweeps/dens.toml"))[:70]
        "no such file, nor a shipped sweep of that name; did you mean 'dense'? "
    """
    shipped = list(shipped_sweeps())
    here = sorted(str(path) for path in Path().glob("*.toml"))
    near = did_you_mean(given.name.removesuffix(".toml"), shipped) or did_you_mean(str(given), here)
    return f"no such file, nor a shipped sweep of that name{near} (shipped: {', '.join(shipped)})"
