# Everything a fresh clone needs: each target makes what it is missing and does nothing twice.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# Settings, such as: make sweep-dense TRIALS=8 WORKERS=2
TRIALS ?=
TIMEOUT ?=
WORKERS ?=
STORAGE ?= sqlite:///studies.db
STUDY ?=
TOP ?=
REPEATS ?=
PYTHON ?= python3
KILLS ?= 100
QUICK ?=
FAULT_TESTS := $(addprefix tests/slow/test_,faults.py storage_faults.py resume.py postgres_runs.py \
	server_restarts.py killed_commands.py managing_faults.py ray.py \
	postgres.py::test_a_sweep_that_loses_its_server_can_go_on)

BIN := .venv/bin
# Hundreds of processes of the tests import the same files: they compile each once, wherever that may be kept.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest
# Side by side too, since their processes wait for each other half of the time; a file stays with one worker, which
# makes once what its tests share. In the order of their names: the long files lie in the middle. Each test starts
# processes of its own, with a few hundred MB each, so that more than four workers would crowd each other out.
SLOW_WORKERS := -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
UV := $(shell command -v uv 2>/dev/null)
INSTALLED := .venv/.installed
INSTALLED_DEV := .venv/.installed-dev
INSTALLED_BENCH := .venv/.installed-bench
INSTALLED_CLUSTER := .venv/.installed-cluster
SWEEP := $(BIN)/fmnist-sweep
RUN_OPTIONS = --storage "$(STORAGE)" $(if $(TRIALS),--trials $(TRIALS)) $(if $(TIMEOUT),--timeout $(TIMEOUT)) \
	$(if $(WORKERS),--workers $(WORKERS)) $(if $(STUDY),--study "$(STUDY)")
CONFIRM_OPTIONS = --storage "$(STORAGE)" $(if $(TOP),--top $(TOP)) $(if $(REPEATS),--repeats $(REPEATS)) \
	$(if $(WORKERS),--workers $(WORKERS))

# Commands name others by the program's name alone.
TELL_NAME = command -v fmnist-sweep > /dev/null || echo "To type fmnist-sweep yourself here: . $(BIN)/activate"

.PHONY: help sweep-dense sweep-cnn confirm-dense confirm-cnn dashboard report export paper studies.db data test \
	test-fast test-faults bench cluster-demo evidence docs check audit format clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z.-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  settings: TRIALS=8 TIMEOUT=600 WORKERS=2 TOP=3 REPEATS=5 STUDY=name STORAGE=sqlite:///studies.db"

sweep-dense: $(INSTALLED) ## search for dense nets on Fashion-MNIST
	@$(TELL_NAME)
	@$(SWEEP) run sweeps/dense.toml $(RUN_OPTIONS)

sweep-cnn: $(INSTALLED) ## search for LeNet-like convolutional nets on Fashion-MNIST
	@$(TELL_NAME)
	@$(SWEEP) run sweeps/cnn.toml $(RUN_OPTIONS)

confirm-dense: $(INSTALLED) ## train the best dense nets anew, on fresh seeds and splits
	@$(TELL_NAME)
	@$(SWEEP) confirm $(if $(STUDY),"$(STUDY)",dense) $(CONFIRM_OPTIONS)

confirm-cnn: $(INSTALLED) ## train the best convolutional nets anew, on fresh seeds and splits
	@$(TELL_NAME)
	@$(SWEEP) confirm $(if $(STUDY),"$(STUDY)",cnn) $(CONFIRM_OPTIONS)

dashboard: $(INSTALLED) ## browse the studies in optuna-dashboard
	@$(SWEEP) dashboard --storage "$(STORAGE)"

report: $(INSTALLED) ## write a static page on all studies to report/
	@$(TELL_NAME)
	@$(SWEEP) report --storage "$(STORAGE)"

export: $(INSTALLED) ## train the winners anew, test them once, write them to exports/
	@$(TELL_NAME)
	@$(SWEEP) export $(if $(STUDY),"$(STUDY)") --storage "$(STORAGE)" $(if $(WORKERS),--workers $(WORKERS))

paper: $(INSTALLED) ## run the original study again, a verdict for each claim; QUICK=1 takes ten minutes
	@$(BIN)/python -m original_study --storage "$(STORAGE)" $(if $(QUICK),--quick) $(if $(WORKERS),--workers $(WORKERS))

studies.db: $(INSTALLED) ## bring the reference studies into the storage, read-only, beside what is there
	@$(TELL_NAME)
	@$(SWEEP) load --storage "$(STORAGE)"

data: $(INSTALLED) ## find Fashion-MNIST, or fetch it, and verify it
	@$(SWEEP) data

test: $(INSTALLED_DEV) ## run all tests but most of test-faults, those that train real models too
	@$(PYTEST) -m "not slow" -n auto --hypothesis-profile default
	@$(PYTEST) -m "slow and not faults" $(SLOW_WORKERS)

test-fast: $(INSTALLED_DEV) ## run the tests that train nothing
	@$(PYTEST) -m "not slow" -n auto

test-faults: $(INSTALLED_DEV) ## kill sweeps in every way, then one a hundred times at random
	@PYTHONPATH=.:tests $(PYTEST) -q -p fault_table $(FAULT_TESTS)
	@PYTHONPATH=.:tests $(BIN)/python tests/faults.py drive --kills $(KILLS)

bench: $(INSTALLED_BENCH) ## compare speed with the alternatives, side by side; QUICK=1 takes ten minutes
	@$(BIN)/python -m benchmarks.run $(if $(QUICK),--quick)

cluster-demo: $(INSTALLED_CLUSTER) ## run a sweep on three Ray nodes of this machine, and kill one: docs/cluster.md
	@$(BIN)/python -m benchmarks.cluster_demo

evidence: $(INSTALLED) ## replay what the penalty is worth, from recorded curves: docs/evidence.md
	@$(BIN)/python -m benchmarks.evidence.report

docs: $(INSTALLED_DEV) ## build the documentation as a site in build/site; a warning is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

check: $(INSTALLED_DEV) ## check format, lint, types and what is installed
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python tests/audit.py

audit: $(INSTALLED_DEV) ## ask the package registry for known vulnerabilities of what is installed
	@$(BIN)/python tests/audit.py

format: $(INSTALLED_DEV) ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## remove the environment, caches and what report and export wrote; studies.db is kept
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist report exports
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv:
ifdef UV
	@uv venv --quiet --python '>=3.11,<3.14' .venv
else
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
		{ echo "$(PYTHON) is $$($(PYTHON) --version 2>&1); Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -m venv .venv
endif

$(INSTALLED): pyproject.toml | .venv
	@echo "Installing fmnist-sweep into .venv (the first time this takes some minutes) ..."
	@$(if $(UV),uv pip install --quiet --python .venv,$(BIN)/python -m pip install --quiet) --editable .
	@touch $@

# Tests and benchmarks start hundreds of processes: pip translates what it installs, and uv is told to. Where
# PYTHONDONTWRITEBYTECODE is set, each of them would translate TensorFlow anew.
$(INSTALLED_DEV): $(INSTALLED)
	@echo "Installing the development tools ..."
	@$(if $(UV),uv pip install --quiet --compile-bytecode --python .venv,$(BIN)/python -m pip install --quiet) --editable ".[dev,notebook,docs]"
	@touch $@

$(INSTALLED_CLUSTER): $(INSTALLED)
	@echo "Installing Ray ..."
	@$(if $(UV),uv pip install --quiet --python .venv,$(BIN)/python -m pip install --quiet) --editable ".[ray]"
	@touch $@

$(INSTALLED_BENCH): $(INSTALLED)
	@echo "Installing what the benchmarks compare with ..."
	@$(if $(UV),uv pip install --quiet --compile-bytecode --python .venv,$(BIN)/python -m pip install --quiet) --editable ".[bench]"
	@$(if $(UV),uv pip install --quiet --python .venv,$(BIN)/python -m pip install --quiet) --editable ".[bench-ray]" || \
		echo "Ray can't be installed here: what it is compared in is skipped." >&2
	@touch $@
