"""Sweeps that come along, by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmnist_sweep.config.loading import load_config
from fmnist_sweep.config.shipped import shipped_sweeps
from fmnist_sweep.core.errors import ConfigError

OWN = 'study = "mine"\nmodel = "dense"\n[space]\nepochs = 3\n[budget]\ntrials = 4\n'


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the repository is near."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "name", ["dense", "cnn", "dense-regularised", "cnn-regularised", "cnn-large", "smoke"]
)
def test_a_shipped_sweep_is_found_by_name_in_any_folder(name: str) -> None:
    """Its study has its name, and modules that an override names are looked for in the current folder."""
    config = load_config(Path(name))
    assert config.file.study == name
    assert config.folders == (Path.cwd(),)


def test_a_file_goes_before_a_shipped_sweep_and_a_folder_does_not() -> None:
    """What the user has is meant, if it can be a sweep file."""
    Path("dense").write_text(OWN)
    Path("cnn").mkdir()
    assert load_config(Path("dense")).file.study == "mine"
    assert load_config(Path("cnn")).file.study == "cnn"


def test_a_file_that_may_have_been_meant_is_told() -> None:
    """`dense` beside a `dense.toml` is the shipped sweep, and says so."""
    Path("dense.toml").write_text(OWN)
    said: list[str] = []
    assert load_config(Path("dense"), say=said.append).file.study == "dense"
    assert said == [
        "dense is the sweep of that name that comes with fmnist-sweep; for your file give dense.toml"
    ]
    assert load_config(Path("dense.toml"), say=said.append).file.study == "mine"
    assert len(said) == 1


@pytest.mark.parametrize(
    ("given", "near"),
    [("dens", "'dense'"), ("sweeps/smoke.toml", "'smoke'"), ("mien.toml", "'mine.toml'"), ("xyzzy", None)],
)
def test_an_unknown_name_is_told_with_the_nearest_and_all_names(given: str, near: str | None) -> None:
    """Shipped sweeps and the files at hand are what may have been meant."""
    Path("mine.toml").write_text(OWN)
    hint = "" if near is None else f"; did you mean {near}?"
    with pytest.raises(ConfigError) as caught:
        load_config(Path(given))
    names = ", ".join(shipped_sweeps())
    assert caught.value.problems == (
        f"no such file, nor a shipped sweep of that name{hint} (shipped: {names})",
    )
