# Every target sets up what it needs. `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH := $(VENV)/.bench
SEED ?= 0
DEMO := runs/demo/seed-$(SEED)

.DEFAULT_GOAL := help
.PHONY: help setup demo tensorboard figures bench test test-slow lint type clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "memtrain needs Python 3.11 or newer; set PYTHON=python3.11.")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

$(BENCH): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	touch $@

setup: $(READY)  ## make .venv with the tested versions, once

demo: $(READY)  ## train SMT->DMT against BPTT on one long probe and compare (SEED=0; under 10 minutes on two cores)
	$(BIN)/memtrain run experiments/demo/experiment.yaml --seeds $(SEED) --output $(DEMO)

tensorboard: $(READY)  ## show the demo's runs in a browser
	@test -d $(DEMO) || { echo "There is no $(DEMO) yet; run make demo SEED=$(SEED) first."; exit 1; }
	@echo "Who is ahead, at what cost? Open http://localhost:6006/#custom_scalars"
	$(BIN)/tensorboard --logdir $(DEMO) --port 6006

figures: $(READY)  ## draw every figure of experiments/ again from its results.csv
	$(BIN)/memtrain figures $(patsubst %/results.csv,%,$(wildcard experiments/*/results.csv))

bench: $(BENCH)  ## time it, beside the authors' code in a checkout (REFERENCE=path; under 30 minutes on two cores)
	$(BIN)/python -m benchmarks $(if $(REFERENCE),--reference '$(REFERENCE)')

test: $(READY)  ## the fast tests, under 5 minutes on two cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m 'not slow'

test-slow: $(READY)  ## the slow tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m slow --timeout 1800

lint: $(READY)  ## ruff: style and formatting; import-linter: imports point downward
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

type: $(READY)  ## mypy
	$(BIN)/mypy

clean:  ## remove the virtual environment and caches; runs/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
