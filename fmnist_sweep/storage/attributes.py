"""The names under which studies and trials hold what they know. Only this room uses them.

Stored studies live long: no name changes, and new ones are only added.
"""

from __future__ import annotations

from typing import Final

# --- of studies --------------------------------------------------------------------------------------------

CONFIG: Final = "config"
CONFIG_DIGEST: Final = "config_digest"
DATA: Final = "data"
DATA_DIGEST: Final = "data_digest"
MODEL_PATH: Final = "model_path"
MODEL_SOURCES: Final = "model_sources"
"""Of a study of a user's own model: the digests of the parts of its source, a mapping for each edit that the
user accepted, the first one before any."""

ALLOWED_EPOCHS: Final = "allowed_epochs"
FOLDER: Final = "folder"
"""Of a study of a user's own model or data: the folder of its sweep file, as seen from the one that its last
run was started in; not there where they are the same. A path from there: a copy finds its own files."""

VERSIONS: Final = "versions"
DEFAULT_TRIAL: Final = "default_trial"
OWNER: Final = "owner"

MACHINE: Final = "machine"
"""What the study ran on; see `fmnist_sweep.engines.machine`."""

KIND: Final = "kind"
"""What kind of study it is, where its trials were given; a sweep, whose trials are drawn, has none."""

SCORE_RULE: Final = "score_rule"
"""Of a study that was made by an Optuna objective of the user's own: the rule that scored its trials.

Such a study has no settings: its model, its data and its seeds are known to the objective alone."""

CONFIRM: Final = "confirm"
"""The `KIND` of a study whose trials are repeats of another study's candidates."""

CONFIRMS: Final = "confirms"
CANDIDATES: Final = "candidates"
N_REPEATS: Final = "n_repeats"

DECISION: Final = "decision"
"""How the winner of a confirmation is decided; see `fmnist_sweep.analysis.decision`.

One of an earlier version has none, and hands out the smallest of the tied."""

READ_ONLY: Final = "read_only"
"""Of a study that came with the repository: in words, where from."""

LOADING: Final = "loading"
"""Of a study that is being brought back from text: not None until all of it is there."""

TEST_READINGS: Final = "test_readings"
"""A list with an entry for each reading of the test set, oldest first."""

EXPORT: Final = "export"
"""What the study's last bundle says; see `fmnist_sweep.export.contents`."""

EXPORT_OF_FIT: Final = "export_of_fit"
"""The same of data that are handed to ``fit`` as they are; see `fmnist_sweep.export.call_contents`."""

BUNDLES: Final = "bundles"
"""A few numbers of each of the study's bundles, in the order of their making."""

CHECKPOINT_STORAGE: Final = "checkpoint_storage"
"""The folders in which nodes of a cluster kept its checkpoints, as `SharedFolder.record` gives them."""

FIGURES_OF: Final = "figures_of"
"""What the figures that the study keeps for the dashboard were drawn from; see `StoredStudy.figures_of`."""

PAPER_TEST: Final = "paper_test"
"""Of a final model of the original study: ``test_accuracy`` and ``confusion`` of each exported seed."""

# --- of trials ---------------------------------------------------------------------------------------------

HYPERPARAMETERS: Final = "hyperparameters"
SEED: Final = "seed"
SPLIT_SEED: Final = "split_seed"
SECONDS: Final = "seconds"
N_EPOCHS: Final = "n_epochs"
N_PARAMETERS: Final = "n_parameters"
PEAK_MEMORY_MB: Final = "peak_memory_mb"
N_REUSED_EPOCHS: Final = "n_reused_epochs"
N_RETRIES: Final = "n_retries"
CURVE: Final = "curve"
EPOCH: Final = "epoch"
GAP: Final = "gap"
STOPPED_EARLY: Final = "stopped_early"
FAIL_REASON: Final = "fail_reason"
FAIL_DETAIL: Final = "fail_detail"
RUN: Final = "run"
CANDIDATE: Final = "candidate"
REPEAT: Final = "repeat"
IMPORTED_FROM: Final = "imported_from"

PAUSED: Final = "paused"
"""Of a paused trial, see `search.pausing`: after how many epochs; None once it went on."""

RETURNED: Final = "returned"
"""Numbers that the user's ``fit`` returned, by name."""

RETRY_OF: Final = "retry_of"
"""Number of the failed trial that this one tries again."""

MODEL_SOURCE: Final = "model_source"
"""Of a trial of a user's own model: the digest of the source that it trained."""

SCORE_PREFIXES: Final = ("train_", "val_")
"""What the names of the scores at the scored epoch begin with, such as ``val_accuracy``."""

OURS: Final = (HYPERPARAMETERS, EPOCH, CURVE)
"""Attributes of every COMPLETE trial that a sweep has told; another tool knows none of them."""
