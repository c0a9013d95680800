"""A model with layers of the user's own, beside its sweep file: swept, confirmed, exported and used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from programs import ROOT, WITHOUT_THE_PROJECT, python

pytestmark = pytest.mark.slow

PARTS = """
import keras
from keras import layers

SHIFT = 0.5


@keras.saving.register_keras_serializable(package="theirs", name="Odd")
class Shift(layers.Layer):
    def call(self, x):
        return x + SHIFT


class Stretch(layers.Layer):
    def __init__(self, by=0.5, **settings):
        super().__init__(**settings)
        self.by = by

    def call(self, x):
        return x * self.by

    def get_config(self):
        return {**super().get_config(), "by": self.by}


def relu(x):
    return keras.ops.maximum(x, -0.1)
"""

NET = """
import keras
import keras_tuner
from keras import layers

import parts


class Stretch(parts.Stretch):
    pass


def bent(x):
    return parts.relu(x) * 1.5


class Late(layers.Layer):
    def __init__(self, units, **settings):
        super().__init__(**settings)
        self.units = units

    def build(self, shape):
        self.inner = layers.Dense(self.units, activation=bent)
        self.inner.build(shape)

    def call(self, x):
        return self.inner(x)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Net(keras_tuner.HyperModel):
    def build(self, hp):
        model = keras.Sequential([
            parts.Shift(),
            Stretch(2.0),
            parts.Stretch(0.5),
            layers.Flatten(),
            Late(hp.Choice("units", [4, 8])),
            layers.Dense(4, activation=parts.relu),
            layers.Dense(3, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ])
        model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model
"""

SWEEP = """
study = "s"
model = "net:Net"
data = "d.npz"
[space]
epochs = 2
[training]
n_val = 60
n_probe = 100
[sampler]
name = "random"
[pruner]
name = "none"
[budget]
trials = 2
"""

RUN = """
script, *sys.argv[1:] = sys.argv[1:]
sys.argv[0] = script
runpy.run_path(script, run_name="__main__")
"""


def project(folder: Path, net: str = NET, *, sweep: str = SWEEP) -> Path:
    """Write a model, its parts, its data and a sweep file into a folder below; return the one to work in."""
    beside = folder / "sub"
    beside.mkdir()
    (beside / "net.py").write_text(net)
    (beside / "parts.py").write_text(PARTS)
    (beside / "s.toml").write_text(sweep)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 400)
    x = (rng.random((400, 8, 8)) * 0.6 + y[:, None, None] * 0.3).astype("float32")
    np.savez(beside / "d.npz", x_train=x[:300], y_train=y[:300], x_test=x[300:], y_test=y[300:])
    return folder


def sweep_command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run fmnist-sweep in a folder, to whatever end."""
    return subprocess.run(
        [sys.executable, "-m", "fmnist_sweep", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parent folder of a sweep file, in which it was run, confirmed and exported."""
    folder = project(tmp_path_factory.mktemp("parent"))
    python(folder, "-m", "fmnist_sweep", "run", "sub/s.toml", "--workers", "2")
    python(folder, "-m", "fmnist_sweep", "confirm", "s", "--top", "1", "--repeats", "2", "--workers", "2")
    python(folder, "-m", "fmnist_sweep", "export", "s", "--repeats", "1", "--workers", "2")
    return folder


def test_all_works_from_the_parent_folder(worked: Path) -> None:
    """Module and data beside the sweep file are found by every command, and nothing lands beside it."""
    facts = json.loads((worked / "exports/s/metrics.json").read_text())
    assert facts["confirmed"]
    assert set(facts["model"]) >= {"train", "val", "test"}
    assert {path.name for path in (worked / "sub").glob("*.*")} == {"net.py", "parts.py", "s.toml", "d.npz"}


def test_the_bundle_names_what_the_model_needs(worked: Path) -> None:
    """What one name would not tell apart has its module's with it; the rest keeps its name."""
    facts = json.loads((worked / "exports/s/metrics.json").read_text())
    assert facts["custom_objects"] == {
        "theirs>Odd": "parts:Shift",
        "net>Stretch": "net:Stretch",
        "parts>Stretch": "parts:Stretch",
        "Late": "net:Late",
        "parts>relu": "parts:relu",
    }


def test_the_bundle_works_where_this_project_is_not(worked: Path, tmp_path: Path) -> None:
    """TensorFlow and NumPy do, and the probabilities are those that the export kept."""
    bundle = tmp_path / "elsewhere"
    (worked / "exports" / "s").rename(bundle)
    try:
        with np.load(worked / "sub" / "d.npz") as data:
            np.save(tmp_path / "images.npy", data["x_test"])
        script = str(bundle / "predict.py")
        out = tmp_path / "p.npy"
        python(
            tmp_path,
            "-I",
            "-c",
            WITHOUT_THE_PROJECT + RUN,
            script,
            str(tmp_path / "images.npy"),
            "--save",
            str(out),
        )
        # Beside it lies what was read with it.
        key = json.loads((bundle / "metrics.json").read_text())["key"]
        (kept,) = worked.glob(f"studies.db.exports/s/{key}/seed-*/test.npz")
        with np.load(kept) as stored:
            assert np.abs(np.load(out) - stored["test"]).max() < 1e-5
    finally:
        bundle.rename(worked / "exports" / "s")


FORGETS = """
import keras, pathlib
from keras import layers


class Forgets(layers.Layer):
    def __init__(self, by=2.0, **settings):
        super().__init__(**settings)
        self.by = by

    def call(self, x):
        return x * self.by

    def get_config(self):
        return super().get_config()


def build(hp):
    model = keras.Sequential([
        keras.Input((8, 8, 1)),
        layers.Conv2D(4, 3),
        layers.MaxPooling2D(hp.Choice("pool", [2, 7])),
        Forgets(3.0),
        layers.Flatten(),
        layers.Dense(3, activation="softmax"),
    ])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""


def test_what_cannot_be_exported_or_built_is_told_before_and_after_the_sweep(tmp_path: Path) -> None:
    """The layer and the cause, by the commands that meet it; nothing is trained for an export in vain."""
    folder = project(tmp_path, FORGETS, sweep=SWEEP.replace("net:Net", "net:build").replace("random", "grid"))
    forgets = "by of Forgets was 3.0 and comes back as 2.0; let get_config of Forgets return it"
    cause = "ValueError in MaxPooling2D: Computed output size would be zero or negative. Received: "
    checked = sweep_command(folder, "validate", "sub/s.toml")
    assert f"build fails for pool 7: {cause}" in checked.stderr + checked.stdout
    assert forgets in checked.stderr + checked.stdout
    ran = sweep_command(folder, "run", "sub/s.toml", "--workers", "1")
    assert ran.returncode == 0
    assert f"build fails for pool 7: {cause}" in ran.stderr
    assert forgets in ran.stderr
    listed = sweep_command(folder, "trials", "s").stdout
    assert f"trial 1 failed: build of the model failed: {cause}" in listed
    assert "pool_size=[7 7]" in listed
    exported = sweep_command(folder, "export", "s", "--repeats", "1")
    assert exported.returncode == 2
    assert f"predicts something else: {forgets}. Nothing was trained." in exported.stderr
    assert not list(folder.glob("studies.db.exports/s/*/seed-*"))
    net = folder / "sub" / "net.py"
    net.write_text(
        net.read_text()
        .replace("return super().get_config()", 'return {**super().get_config(), "by": self.by}')
        .replace("return x * self.by", 'return x * self.by if not pathlib.Path("broken").exists() else x @ x')
    )
    sweep_command(folder, "run", "sub/s.toml", "--accept-edited-model")
    (folder / "broken").touch()
    exported = sweep_command(folder, "export", "s", "--repeats", "1")
    assert exported.returncode == 2
    assert "in Forgets: " in exported.stderr
    (folder / "broken").unlink()
    exported = sweep_command(folder, "export", "s", "--repeats", "1")
    assert exported.returncode == 0, exported.stderr
    assert (folder / "exports" / "s" / "own_code" / "net.py").exists()
