"""An option that can't be used is told before anything is read: here there is no storage and no data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fmnist_sweep import data

Command = Callable[..., tuple[int, str, str]]

SWEEP = """
study = "tiny"
model = "dense"
"""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("run tiny.toml --workers 0 --trials 0", ("--workers", "budget.trials")),
        ("run tiny.toml --timeout nan --max-retries -1", ("budget.seconds", "budget.max_retries")),
        ("run tiny.toml --study a/b --set score.penalty=-1", ("study", "score.penalty")),
        (
            "confirm tiny --workers 0 --top 0 --repeats 1 --max-retries -1",
            ("--workers", "--top", "--repeats", "--max-retries"),
        ),
        ("confirm tiny --repeats 100000000", ("--repeats",)),
        ("compare tiny tiny", ("tiny",)),
        ("trials tiny --json --csv", ("--json and --csv",)),
        ("export tiny --workers 0", ("--workers",)),
        ("export tiny --repeats 0", ("--repeats",)),
        ("export --trial 7", ("--trial",)),
        ("dashboard --port 0", ("--port",)),
        ("dashboard --password short", ("--password",)),
        ("dashboard --host 0.0.0.0", ("--host",)),
        ("report --output folder", ("--output: folder is a directory",)),
        ("dump --output tiny.toml", ("--output: tiny.toml is a file",)),
        ("validate tiny.toml --set score.penalty=-1", ("score.penalty",)),
        ("delete tiny", ("--yes",)),
    ],
    ids=lambda words: words if isinstance(words, str) else "",
)
def test_a_wrong_option_is_told_first(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, told: tuple[str, ...]
) -> None:
    """All of them at once, exit code 2, and nothing is made."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("data were opened")

    monkeypatch.setattr(data, "open_data", never)
    monkeypatch.setenv("COLUMNS", "1000")
    (tmp_path / "tiny.toml").write_text(SWEEP)
    (tmp_path / "folder").mkdir()
    code, out, err = command(*words.split())
    assert (code, out) == (2, "")
    # Typer frames what it says itself, in colours.
    assert [part for part in told if part not in err] == []
    assert "does not exist" not in err
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.toml", "folder"}
