"""Known vulnerabilities of what is installed, as pip-audit finds them: ``make check`` ends with this program.

It fails only for a package that pyproject.toml names, and only where a version that it allows is free of the
vulnerability: what can't be mended here must not keep out a change that has nothing to do with it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TIMEOUT_S: Final = 20
COMMAND: Final = (
    *(sys.executable, "-m", "pip_audit", "--local", "--skip-editable"),
    *("--format", "json", "--desc", "off", "--progress-spinner", "off"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A vulnerability of an installed package; ``fixes`` are the versions without it that we allow."""

    package: str
    version: str
    id: str
    fixed_in: tuple[str, ...]
    fixes: tuple[str, ...]

    def __str__(self) -> str:
        fixed = ", ".join(self.fixed_in) or "no version"
        mend = f"upgrade to {self.fixes[0]}" if self.fixes else "not mended within pyproject.toml"
        return f"{self.package:<24} {self.version:<14} {self.id:<22} fixed in {fixed:<22} {mend}"


def ask(command: Sequence[str] = COMMAND, timeout_s: float = TIMEOUT_S) -> list[Mapping[str, Any]]:
    """Return the packages that the registry knows, as pip-audit tells of them; empty where it is silent."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)
        packages: list[Mapping[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError):
        # Without an answer it ends with a traceback and prints no JSON.
        return []
    return [package for package in packages if "vulns" in package]


def requirements(pyproject: Path) -> list[Requirement]:
    """Return what a pyproject.toml asks for, its extras included."""
    project = tomllib.loads(pyproject.read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(line) for lines in lists for line in lines]


def findings(packages: Iterable[Mapping[str, Any]], required: Sequence[Requirement]) -> list[Finding]:
    """Return every vulnerability, with what may be done about it."""
    found = []
    for package in packages:
        name = canonicalize_name(package["name"])
        ours = [requirement for requirement in required if canonicalize_name(requirement.name) == name]
        for vuln in package["vulns"]:
            fixed_in = tuple(vuln["fix_versions"])
            fixes = [v for v in fixed_in if ours and all(r.specifier.contains(v) for r in ours)]
            found.append(Finding(name, package["version"], vuln["id"], fixed_in, tuple(fixes)))
    return found


def main() -> int:
    """Print what is known, and return 1 where it can be mended."""
    packages = ask()
    if not packages:
        sys.stdout.write("audit: the registry did not answer; nothing was checked\n")
        return 0
    found = findings(packages, requirements(Path(__file__).parent.parent / "pyproject.toml"))
    for finding in found:
        sys.stdout.write(f"{finding}\n")
    sys.stdout.write(f"audit: {len(packages)} packages, {len(found)} known vulnerabilities\n")
    return int(any(finding.fixes for finding in found))


if __name__ == "__main__":
    sys.exit(main())
