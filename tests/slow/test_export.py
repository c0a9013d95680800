"""A real export: the script and the model of its bundle, where this project is not installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pytest
from programs import WITHOUT_THE_PROJECT, python

from fmnist_sweep.data import open_data
from fmnist_sweep.export.delivered import Delivery

pytestmark = pytest.mark.slow

SWEEP = """
study = "tiny"
model = "{model}"
tune_new_entries = false
[space]
dropout = 0.1
batch_norm = true
l2 = 1e-4
flip = true
{more}
epochs = 2
[training]
train_size = 400
n_probe = 200
[sampler]
name = "random"
[budget]
trials = 1
"""

MORE = {"dense": "", "cnn": "alternate_flips = true\nshift = 1\nerase = 0.25\nema = 0.9"}
"""What the CNN has beside; it is exported with --flip-average."""

LOAD = """
import keras, numpy, sys
model = keras.models.load_model(sys.argv[3])
assert not model.compiled
stored = numpy.load(sys.argv[1])
images = numpy.frombuffer(open(sys.argv[2], "rb").read()[16:], numpy.uint8).reshape(-1, 28, 28, 1)
found = model.predict(images[:5000].astype("float32") / numpy.float32(255), verbose=0)
print(abs(found - stored["val"]).max())
"""


def run(folder: Path, *command: str) -> str:
    return python(folder, *command).stdout


@pytest.fixture(scope="module", params=["dense", "cnn"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a sweep of one trial."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "tiny.toml").write_text(SWEEP.format(model=request.param, more=MORE[request.param]))
    run(folder, "-m", "fmnist_sweep", "run", "tiny.toml")
    flips = ["--flip-average"] if request.param == "cnn" else []
    done = python(folder, "-m", "fmnist_sweep", "export", "tiny", "--repeats", "2", *flips)
    assert "study created" not in done.stderr, "Optuna tells of a study that nobody asked for"
    return folder / done.stdout.strip()


def predicted_otherwise(bundle: Path, model: str) -> float:
    """Return how far a saved model's probabilities are from those that the export kept."""
    (kept,) = bundle.parent.parent.glob("studies.db.exports/tiny/*/seed-10000/predictions.npz")
    images = str(Path(open_data().directory) / "train-images-idx3-ubyte")
    return float(run(bundle, "-I", "-c", WITHOUT_THE_PROJECT + LOAD, str(kept), images, model))


def test_a_place_that_the_script_cannot_save_to_is_told_at_once(bundle: Path) -> None:
    """Before it trains for minutes: another ending, or a folder that is not there."""
    for path in ("again.h5", "nowhere/again.keras"):
        done = subprocess.run(
            [sys.executable, "train.py", "--save", path],
            cwd=bundle,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, f"--save {path}: has to end in .keras" in done.stderr) == (2, True)


def test_the_script_gives_the_bundles_numbers(bundle: Path) -> None:
    """With tensorflow and numpy alone it trains the model again, to the sixth decimal, and saves it."""
    arguments = ["train.py", open_data().directory, "--save", "again.keras"]
    program = WITHOUT_THE_PROJECT + f"sys.argv = {arguments!r}\n"
    program += f"runpy.run_path({str(bundle / 'train.py')!r}, run_name='__main__')"
    lines = run(bundle, "-I", "-c", program).splitlines()
    assert lines.pop() == "saved: again.keras"
    assert predicted_otherwise(bundle, "again.keras") < 1e-5
    (bundle / "again.keras").unlink()
    assert float(lines[-1].removeprefix("largest difference: ")) < 2e-6
    facts = json.loads((bundle / "metrics.json").read_text())
    accuracy = next(line.split()[2] for line in lines if line.split()[:2] == ["test", "accuracy"])
    assert float(accuracy) == pytest.approx(facts["model"]["test"]["accuracy"], abs=1e-6)


def test_the_model_loads_without_this_project_and_predicts_the_same(bundle: Path) -> None:
    """Keras's own loading, in safe mode, is enough."""
    assert predicted_otherwise(bundle, "model.keras") < 1e-5


def test_the_bundles_own_script_predicts_images(bundle: Path) -> None:
    """Bytes are scaled by it; the probabilities are those that the export kept, the class the likeliest."""
    (kept,) = bundle.parent.parent.glob("studies.db.exports/tiny/*/seed-10000/predictions.npz")
    raw = (Path(open_data().directory) / "train-images-idx3-ubyte").read_bytes()[16 : 16 + 20 * 784]
    images = bundle.parent.parent / "images.npy"
    np.save(images, np.frombuffer(raw, np.uint8).reshape(-1, 28, 28))
    table = bundle.parent.parent / "predictions.csv"
    python(bundle.parent.parent, "-m", "fmnist_sweep", "predict", str(bundle), "images.npy")
    found = pd.read_csv(table)
    table.unlink()
    with np.load(kept) as stored:
        probabilities = found.filter(like="p_").to_numpy()
        np.testing.assert_allclose(probabilities, stored["val"][:20], atol=1e-5)
    assert found["class"].tolist() == found.filter(like="p_").idxmax(axis=1).str[2:].tolist()


def test_predictions_of_the_test_images_are_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process was writing when it died is not taken for what the reading gave."""
    from fmnist_sweep.training import test_reading

    def half(file: BinaryIO, **_: Any) -> None:
        file.write(b"PK")
        raise KeyboardInterrupt

    images = np.zeros((4, 28, 28, 1), np.float32)
    told = (tmp_path, np.eye(4, 10, dtype=np.float32), images, np.array([0, 1, 2, 2], np.int32))
    with monkeypatch.context() as patched:
        patched.setattr(np, "savez", half)
        with pytest.raises(KeyboardInterrupt):
            test_reading._write(*told)
    assert not Delivery(tmp_path, seed=0).is_tested
    test_reading._write(*told)
    assert Delivery(tmp_path, seed=0).worst[0].tolist() == [3]
    assert [path.name for path in tmp_path.iterdir()] == ["test.npz"]


def test_the_configuration_runs_again_to_the_same_curve(bundle: Path) -> None:
    """The exported sweep file trains the model that is in the bundle."""
    run(bundle, "-m", "fmnist_sweep", "run", "config.toml", "--storage", "sqlite:///again.db")
    rows = run(
        bundle, "-m", "fmnist_sweep", "trials", "tiny-final", "--json", "--storage", "sqlite:///again.db"
    )
    (trial,) = json.loads(rows)["trials"]
    last = (bundle / "history.csv").read_text().splitlines()[2].split(",")
    head = (bundle / "history.csv").read_text().splitlines()[0].split(",")
    stored = dict(zip(head, last, strict=True))
    assert float(stored["val_accuracy"]) == trial["val_accuracy"]
    assert float(stored["train_cross_entropy"]) == trial["train_cross_entropy"]
