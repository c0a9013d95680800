"""What README and docs say can be done, can be done."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from programs import ROOT, python

from fmnist_sweep.cli import main as cli
from fmnist_sweep.config.loading import parse_config

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
SWEEP_FILES = (ROOT / "docs" / "sweep-files.md").read_text()


def lines(program: str) -> list[str]:
    """Return the typed lines of all pages that start with a program, without their comments."""
    text = "\n".join(page.read_text() for page in PAGES)
    return [line.split("  #")[0].strip() for line in re.findall(rf"^    ({program} .*)$", text, re.MULTILINE)]


def block(language: str, holding: str) -> str:
    """Return the fenced block of the page on sweep files that holds a text."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", SWEEP_FILES, re.MULTILINE | re.DOTALL)
    (found,) = [one for one in blocks if holding in one]
    return str(found)


@pytest.mark.parametrize("line", lines("fmnist-sweep"))
def test_commands_in_the_docs_parse(line: str) -> None:
    """Every fmnist-sweep line names a command and options that there are."""
    group = typer.main.get_command(cli.app)
    name, *arguments = shlex.split(line)[1:]
    command = group.commands[name]  # type: ignore[attr-defined]
    command.make_context(name, arguments)


@pytest.mark.parametrize("line", lines("make"))
def test_make_targets_in_the_docs_exist(line: str) -> None:
    """Every make line names targets of the Makefile."""
    targets = set(re.findall(r"^([a-z.-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {word for word in line.split()[1:] if "=" not in word} <= targets


def test_every_command_is_in_the_docs() -> None:
    """A reader meets all commands."""
    shown = {shlex.split(line)[1] for line in lines("fmnist-sweep")}
    assert shown == {
        info.name or info.callback.__name__ for info in cli.app.registered_commands if info.callback
    }


def test_links_to_files_lead_somewhere() -> None:
    """Every relative link and picture of a page is in the repository."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_sweep_file_of_the_docs_is_valid() -> None:
    """The example is accepted as it stands."""
    import tomllib

    parse_config(tomllib.loads(block("toml", 'model = "dense"')), where="sweep-files.md")


@pytest.mark.slow
def test_the_own_model_of_the_docs_runs(tmp_path: Path) -> None:
    """The HyperModel and its sweep file, typed off the page, train on real Fashion-MNIST."""
    (tmp_path / "mine.py").write_text(block("python", "class Mine"))
    (tmp_path / "mine.toml").write_text(block("toml", "mine:Mine"))
    (line,) = [line for line in lines("fmnist-sweep") if "mine.toml" in line]
    smaller = ["--set", "training.train_size=500", "--set", "space.epochs=2"]
    done = python(tmp_path, "-m", "fmnist_sweep", *shlex.split(line)[1:], "--trials", "2", *smaller)
    assert "2 complete" in done.stdout


def test_the_front_door_is_short() -> None:
    """The README has at most 150 lines, and at most ten numbers before its first command."""
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    before = text.split("\n    make ")[0]
    assert len(re.findall(r"\d+(?:[.,]\d+)*", re.sub(r"\]\([^)]*\)", "]", before))) <= 10
