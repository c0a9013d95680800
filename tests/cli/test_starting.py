"""Files to start from, the version, and what a shell completes."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import fmnist_sweep
from fmnist_sweep.api.starting import STARTS
from fmnist_sweep.cli.commands.options import complete_sweep
from fmnist_sweep.cli.commands.starting import complete_kind
from fmnist_sweep.config.loading import load_config

Command = Callable[..., tuple[int, str, str]]


def names() -> set[str]:
    """Return what is in the current folder."""
    return {path.name for path in Path().iterdir()}


@pytest.mark.parametrize("kind", STARTS)
def test_a_start_says_what_it_wrote_and_what_comes_next(command: Command, kind: str) -> None:
    """All its files, whole, and a command that can be typed."""
    code, out, err = command("init", kind)
    assert (code, err) == (0, "")
    assert names() == set(STARTS[kind].files)
    for file in STARTS[kind].files:
        assert f"Wrote {file}: " in out
        if file.endswith(".py"):
            compile(Path(file).read_text(), file, "exec")
    assert out.splitlines()[-1] == f"Next: fmnist-sweep run {STARTS[kind].sweep}"


def test_all_starts_fit_into_one_folder(command: Command) -> None:
    """Whoever tries one can try the others beside it."""
    for kind in STARTS:
        assert command("init", kind)[0] == 0


def test_the_first_start_is_that_of_keras_tuner(command: Command) -> None:
    """It is what `init` alone writes."""
    assert command("init")[0] == 0
    assert names() == {"digits.toml", "digits.py"}


def test_the_start_of_a_built_in_model_is_a_valid_sweep(command: Command) -> None:
    """And a short one."""
    command("init", "cnn")
    config = load_config(Path("my-cnn.toml"))
    assert config.file.budget.trials * config.epochs[-1] <= 16


@pytest.mark.parametrize("there", [["digits.py"], ["digits.toml", "digits.py"]])
def test_a_start_overwrites_nothing(command: Command, there: list[str]) -> None:
    """Where one of its files is there already none is written, and all that are there are named."""
    for name in there:
        Path(name).write_text("mine")
    code, out, err = command("init", "keras-tuner")
    verb = "is" if len(there) == 1 else "are"
    assert (code, out) == (2, "")
    assert err.startswith(f"{', '.join(there)} {verb} there already, and nothing was written; move ")
    assert names() == set(there)
    assert {Path(name).read_text() for name in there} == {"mine"}


def test_a_link_that_leads_nowhere_is_not_written_through(command: Command) -> None:
    """What was written before it is met is taken away again."""
    Path("digits.py").symlink_to("elsewhere.py")
    code, _, err = command("init", "keras-tuner")
    assert code == 2
    assert err.startswith("digits.py is there already, and nothing was written")
    assert names() == {"digits.py"}


def test_a_folder_that_can_not_be_written_is_told(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the file and the reason."""

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("fmnist_sweep.api.starting.Path.open", refuse)
    code, _, err = command("init", "cnn")
    assert (code, err) == (
        2,
        "my-cnn.toml can't be written: Permission denied; run init in another folder\n",
    )


def test_an_unknown_start_is_told_with_the_nearest(command: Command) -> None:
    """And with all that there are."""
    code, _, err = command("init", "keras_tuner")
    allowed = "(allowed: keras-tuner, own-data, cnn)"
    assert (code, err) == (
        2,
        f"init: unknown kind 'keras_tuner'; did you mean 'keras-tuner'? {allowed}\n",
    )
    assert names() == set()


def test_the_templates_keep_to_the_rules_of_the_house(command: Command) -> None:
    """What a user starts from is formatted, and names nothing that it doesn't use."""
    for kind in STARTS:
        command("init", kind)
    ruff = [sys.executable, "-m", "ruff", "check", "--select", "D,E,F,I,UP,W", "--line-length", "110"]
    done = subprocess.run(
        [*ruff, "--config", "lint.pydocstyle.convention='google'", "."],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_version_is_that_of_the_package(command: Command) -> None:
    """And nothing else is asked for."""
    assert command("--version") == (0, f"fmnist-sweep {fmnist_sweep.__version__}\n", "")


@pytest.mark.parametrize("line", ["-h", "run -h", "init -h", "trials -h"])
def test_help_has_a_short_name(command: Command, line: str) -> None:
    """For the program and for each command."""
    code, out, _ = command(*shlex.split(line))
    assert code == 0
    assert "Usage:" in out


def test_a_shell_completes_sweeps_kinds_and_itself(command: Command) -> None:
    """Shipped names first, then the sweep files at hand."""
    Path("sm-mine.toml").touch()
    assert complete_sweep("sm") == ["smoke", "sm-mine.toml"]
    assert complete_kind("o") == ["own-data"]
    assert "--install-completion" in command("-h")[1]
