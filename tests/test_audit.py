"""The audit of what is installed, over answers that no registry gave."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import audit
import pytest
from packaging.requirements import Requirement

REQUIRED = [Requirement("Jinja2>=3.1,<4"), Requirement("jinja2>=3.1.2")]


def package(name: str, *fix_versions: str) -> dict[str, Any]:
    """Return a package with one vulnerability as pip-audit tells of it."""
    return {"name": name, "version": "3.1.2", "vulns": [{"id": "X-1", "fix_versions": list(fix_versions)}]}


@pytest.mark.parametrize(
    ("fix_versions", "fixes"),
    [(("3.1.6",), ("3.1.6",)), (("4.0",), ()), ((), ()), (("2.11.4", "3.1.1", "3.1.6"), ("3.1.6",))],
)
def test_only_what_our_ranges_allow_is_a_mend(fix_versions: tuple[str, ...], fixes: tuple[str, ...]) -> None:
    """A fix that would take another range of ours is told and asked of nobody."""
    (found,) = audit.findings([package("jinja2", *fix_versions)], REQUIRED)
    assert (found.fixed_in, found.fixes) == (fix_versions, fixes)


def test_what_others_brought_in_is_told_alone() -> None:
    """The ranges of a package that pyproject.toml does not name are not ours to raise."""
    (found,) = audit.findings([package("setuptools", "65.5.1")], REQUIRED)
    assert found.fixes == ()
    assert "X-1" in str(found)


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([], 0, "audit: the registry did not answer; nothing was checked\n"),
        ([package("nosuch", "9")], 0, "audit: 1 packages, 1 known vulnerabilities\n"),
        ([package("jinja2", "3.1.6")], 1, "audit: 1 packages, 1 known vulnerabilities\n"),
        ([{"name": "jinja2", "version": "3.1.6", "vulns": []}], 0, "audit: 1 packages, 0 known"),
    ],
)
def test_the_check_fails_for_what_can_be_mended(
    packages: list[Any], code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Every vulnerability is told; a registry that says nothing keeps nothing from passing."""
    monkeypatch.setattr(audit, "ask", lambda: packages)
    assert audit.main() == code
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    "program",
    [
        "raise SystemExit('ProxyError')",
        "import time; time.sleep(60)",
        "print({'dependencies': [{'name': 'jinja2', 'skip_reason': 'not found'}]})".replace("'", '"'),
    ],
)
@pytest.mark.slow
def test_silence_is_no_answer(program: str) -> None:
    """No network, a server that hangs, a mirror that knows no vulnerabilities: each is told soon."""
    began = time.monotonic()
    assert audit.ask([sys.executable, "-c", program], timeout_s=1) == []
    assert time.monotonic() - began < 10


def test_an_answer_with_vulnerabilities_is_read(tmp_path: Path) -> None:
    """Though pip-audit then ends with exit code 1."""
    answer = tmp_path / "answer.json"
    answer.write_text(json.dumps({"dependencies": [package("jinja2"), {"name": "a", "skip_reason": "b"}]}))
    program = f"import sys; print(open({str(answer)!r}).read()); sys.exit(1)"
    assert audit.ask([sys.executable, "-c", program]) == [package("jinja2")]


def test_what_we_require_is_read_from_pyproject() -> None:
    """With the extras."""
    names = {r.name for r in audit.requirements(Path(__file__).parent.parent / "pyproject.toml")}
    assert {"tensorflow", "optuna", "psycopg", "pytest", "pip-audit"} <= names
