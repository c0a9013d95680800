"""The main job as a person runs it: real processes, real Keras models, real Fashion-MNIST."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from programs import free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
SMOKE = ROOT / "sweeps" / "smoke.toml"

HYPER_MODEL = """
import keras
import keras_tuner as kt

class Tiny(kt.HyperModel):
    def build(self, hp):
        model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten()])
        for i in range(hp.Int("layers", 1, 2)):
            model.add(keras.layers.Dense(hp.Choice(f"units_{i}", [4, 8]), activation="relu"))
        model.add(keras.layers.Dense(3, activation="softmax"))
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

class Picky(Tiny):
    def build(self, hp):
        if hp.Int("layers", 1, 2) == 2:
            raise ValueError("two layers are one too many")
        return super().build(hp)
"""

MEASURED = """
import re, sys
from fmnist_sweep.cli.main import main
try:
    main()
finally:
    heavy = sorted({"tensorflow", "keras"} & set(sys.modules))
    # getrusage would tell the size of whoever started this process, where that was larger.
    peak_kb = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]
    print("measured", int(peak_kb) / 1024, heavy, file=sys.stderr)
"""


def start(folder: Path, *arguments: str, program: list[str] | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, *(program or ["-m", "fmnist_sweep"]), *arguments]
    return subprocess.Popen(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def finish(folder: Path, *arguments: str, code: int = 0, program: list[str] | None = None) -> tuple[str, str]:
    process = start(folder, *arguments, program=program)
    out, err = process.communicate(timeout=240)
    assert process.returncode == code, err
    return out, err


def stored_trials(folder: Path, study: str) -> list[dict[str, Any]]:
    out, _ = finish(folder, "trials", study, "--json")
    trials: list[dict[str, Any]] = json.loads(out)["trials"]
    return trials


def stored_curves(folder: Path, study: str) -> dict[int, Any]:
    import optuna

    found = optuna.load_study(study_name=study, storage=f"sqlite:///{folder / 'studies.db'}")
    metrics = ("train_accuracy", "train_cross_entropy", "val_accuracy", "val_cross_entropy")
    return {t.number: [t.user_attrs["curve"][name] for name in metrics] for t in found.get_trials()}


def test_an_interrupted_sweep_goes_on_to_the_same_end(tmp_path: Path) -> None:
    """Ctrl-C leaves nothing running; run goes on; every curve equals that of an uninterrupted study."""
    _, err = finish(tmp_path, "run", str(SMOKE), "--study", "whole")
    assert "Traceback" not in err
    cut = start(tmp_path, "run", str(SMOKE), "--study", "cut")
    assert cut.stderr is not None
    # The sweep's own default lies outside its space, which a note says.
    said = iter(cut.stderr.readline, "")
    assert next(line for line in said if not line.startswith("Note: ")).startswith("Study 'cut'")
    assert cut.stderr.readline().startswith("[1/4]")
    cut.send_signal(signal.SIGINT)
    _, err = cut.communicate(timeout=60)
    assert cut.returncode == 130
    assert "Go on with: fmnist-sweep run" in err
    assert not {"RUNNING", "FAIL"} & {trial["state"] for trial in stored_trials(tmp_path, "cut")}
    finish(tmp_path, "run", str(SMOKE), "--study", "cut")
    assert [trial["state"] for trial in stored_trials(tmp_path, "cut")] == ["COMPLETE"] * 4
    assert stored_curves(tmp_path, "cut") == stored_curves(tmp_path, "whole")


def test_the_parent_stays_small_and_loads_no_tensorflow(tmp_path: Path) -> None:
    """The process that asks and tells stays under 400 MB, and TensorFlow is for its children alone."""
    _, err = finish(tmp_path, "run", str(SMOKE), program=["-c", MEASURED])
    measured = err.splitlines()[-1].split(maxsplit=2)
    assert measured[2] == "[]"
    assert float(measured[1]) < 400


def test_what_a_sweep_leaves_can_be_browsed_and_exported(tmp_path: Path) -> None:
    """The dashboard serves the study, the report names it, and the exported configuration runs."""
    finish(tmp_path, "run", str(SMOKE), "--trials", "2")
    out, _ = finish(tmp_path, "report")
    assert "smoke" in (tmp_path / out.strip()).read_text()
    out, _ = finish(tmp_path, "export", "smoke", "--repeats", "1")
    bundle = tmp_path / out.strip()
    finish(tmp_path, "run", str(bundle / "config.toml"))
    (again,) = stored_trials(tmp_path, "smoke-final")
    facts = json.loads((bundle / "metrics.json").read_text())
    assert again["val_accuracy"] == facts["model"]["val"]["accuracy"]

    port = free_port()
    served = start(tmp_path, "dashboard", "--port", str(port))
    try:
        studies = fetch(f"http://127.0.0.1:{port}/api/studies")["study_summaries"]
        assert [study["study_name"] for study in studies] == ["smoke", "smoke-final"]
    finally:
        served.kill()
        served.communicate()


def fetch(url: str) -> Any:
    from urllib.error import URLError
    from urllib.request import urlopen

    for _ in range(60):
        try:
            with urlopen(url) as answer:  # noqa: S310 - an address of this test's own
                return json.load(answer)
        except URLError:
            time.sleep(0.5)
    raise AssertionError(f"{url} does not answer")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with a user's own model, data and sweep file."""
    (tmp_path / "mine.py").write_text(HYPER_MODEL)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    x = rng.random((300, 6, 6), dtype=np.float32) * 0.2 + (y / 3)[:, None, None].astype(np.float32)
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=y)
    return tmp_path


def own_sweep(folder: Path, model: str) -> str:
    path = folder / f"{model}.toml"
    path.write_text(
        f'study = "{model}"\nmodel = "mine:{model}"\ndata = "mine.npz"\n[space]\nepochs = 2\n'
        '[training]\nn_val = 60\nn_probe = 100\n[sampler]\nname = "random"\n[budget]\ntrials = 4\n'
    )
    return str(path)


def test_a_users_own_model_and_data_run_in_the_same_way(own: Path) -> None:
    """Its space is discovered from its build, conditions too; its images come from an .npz."""
    out, _ = finish(own, "validate", own_sweep(own, "Tiny"))
    assert "layers in [2]" in out
    finish(own, "run", own_sweep(own, "Tiny"))
    trials = stored_trials(own, "Tiny")
    assert {trial["state"] for trial in trials} == {"COMPLETE"}
    assert {trial["params_layers"] for trial in trials} <= {1, 2}


def test_a_build_that_raises_fails_its_trial_with_the_reason(own: Path) -> None:
    """The sweep goes on, and the reason is stored and shown."""
    _, err = finish(own, "run", own_sweep(own, "Picky"), "--set", "sampler.seed=1", "--trials", "6")
    failed = [trial for trial in stored_trials(own, "Picky") if trial["state"] == "FAIL"]
    assert failed
    assert {trial["params_layers"] for trial in failed} == {2}
    assert all("ValueError: two layers are one too many" in trial["fail_reason"] for trial in failed)
    assert "two layers are one too many" in err
