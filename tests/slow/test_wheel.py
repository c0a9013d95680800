"""What `pip install fmnist-sweep` brings, used in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from programs import ROOT

import fmnist_sweep
from fmnist_sweep.api.starting import STARTS

pytestmark = pytest.mark.slow

Installed = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the sources as pip builds it, without a network."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def target(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel is installed into; what it needs is in this environment."""
    folder = tmp_path_factory.mktemp("site")
    install = ["install", "--quiet", "--no-deps", "--no-index", "--target", str(folder), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True)
    return folder


@pytest.fixture
def installed(target: Path, tmp_path: Path) -> Installed:
    """Run the installed program in an empty folder; it must succeed."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(target / "bin" / "fmnist-sweep"), *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(target)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done

    return run


def test_the_wheel_holds_the_package_and_its_sweeps_alone(wheel: Path) -> None:
    """All that the package reads is in it, assets, sweeps and py.typed; tests and benchmarks are not."""
    names = set(zipfile.ZipFile(wheel).namelist())
    package = {
        name for name in names if not name.startswith(f"fmnist_sweep-{fmnist_sweep.__version__}.dist-info/")
    }
    sources = (path for path in (ROOT / "fmnist_sweep").rglob("*") if path.is_file())
    wanted = {str(path.relative_to(ROOT)) for path in sources if path.suffix != ".pyc"}
    sweeps = {f"fmnist_sweep/sweeps/{path.name}" for path in (ROOT / "sweeps").glob("*.toml")}
    assert package == wanted | sweeps
    assert {"fmnist_sweep/py.typed", "fmnist_sweep/sweeps/dense.toml"} <= names
    assert {"fmnist_sweep/api/assets/digits.py.txt", "fmnist_sweep/export/assets/train.py.j2"} <= names


def test_a_registry_would_take_both_packages(wheel: Path, tmp_path: Path) -> None:
    """Names, versions and the README as its page: what an upload would be refused for."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (sources,) = tmp_path.iterdir()
    check = [sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(sources)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_installed_program_needs_no_repository(installed: Installed, target: Path, tmp_path: Path) -> None:
    """Version, shipped sweeps and starts are there in an empty folder, from the installed copy."""
    assert installed("--version").stdout == f"fmnist-sweep {fmnist_sweep.__version__}\n"
    assert "dense: study 'dense', model dense\n" in installed("validate", "dense").stdout
    assert "Next: fmnist-sweep run digits.toml" in installed("init").stdout
    assert {path.name for path in tmp_path.iterdir()} == {"digits.toml", "digits.py"}
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "from fmnist_sweep.config import shipped as s; print(s.shipped_sweeps()['cnn'])",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()) == target / "fmnist_sweep" / "sweeps" / "cnn.toml"


# Each program loads TensorFlow several times over: minutes where others use the processor too.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", STARTS)
def test_a_start_runs_as_it_was_written(installed: Installed, kind: str) -> None:
    """Each kind trains its first trial on its own data; the others differ by their hyperparameters."""
    installed("init", kind)
    assert "1 complete" in installed("run", STARTS[kind].sweep, "--trials", "1").stdout
