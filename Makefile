# Stoop: build, run, test. `make help` lists the targets.
#
# A Rust toolchain, a C compiler and a CPython 3.12 or 3.13 are taken as given;
# the rest goes into a virtual environment here. PYTHON=/path/to/python3.12
# selects another interpreter, which gets a virtual environment of its own.

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.DEFAULT_GOAL := build
.PHONY: help build run test test-rust test-python bench bench-bson lint test-cpython test-differential test-programs docs clean

PYTHON ?=
ARGS ?=

# Everything but `help` and `clean` needs a Python.
ifneq ($(filter-out help clean,$(or $(MAKECMDGOALS),build)),)
  BASE_PYTHON := $(shell PYTHON='$(PYTHON)' tools/find-python)
  ifeq ($(BASE_PYTHON),)
    $(error no Python to build for)
  endif
  VENV := $(shell PYTHON='$(PYTHON)' tools/find-python --venv)
endif
BIN := $(CURDIR)/$(VENV)/bin

# One interpreter for every build, or pyo3 is compiled again and again.
export PYO3_PYTHON := $(BIN)/python

TOOLS := $(VENV)/.tools
BENCH_TOOLS := $(VENV)/.bench-tools
BSON_BENCH_TOOLS := $(VENV)/.bson-bench-tools
INSTALLED := $(VENV)/.installed

SOURCES := Cargo.toml Cargo.lock pyproject.toml rust-toolchain.toml README.md \
    $(shell find crates -name '*.rs' -o -name Cargo.toml) \
    $(shell find crates python -type f -not -name '*.rs' -not -name '*.pyc' -not -name '*.so')

help:
	@echo 'make build              build Stoop and install it into a virtual environment'
	@echo 'make run                the examples, with and without Stoop: outputs, times, chart'
	@echo 'make run ARGS="a.py x"  a program of yours under Stoop'
	@echo 'make test               the unit tests, Rust and Python'
	@echo 'make test-cpython       parts of the test suite of CPython, under Stoop'
	@echo 'make test-differential  generated programs, interpreted and compiled'
	@echo 'make test-programs      suites of other packages and whole programs, same results?'
	@echo 'make bench              benchmarks as ratios over plain CPython'
	@echo 'make bench-bson         stoop.bson against PyMongoArrow and PyMongo'
	@echo 'make lint               formatting, clippy, ruff and the rules of the house'
	@echo 'make docs               regenerate the pages made from tables'
	@echo 'make clean              remove what was built'
	@echo
	@echo 'PYTHON=/path/to/python3.12 selects the interpreter.'

# The file .base remembers which interpreter the environment stands on.
$(VENV)/.base: FORCE
	@if [ "$$(cat $@ 2>/dev/null)" != "$(BASE_PYTHON)" ] || ! $(BIN)/python -c 1 2>/dev/null; then \
	    rm -rf $(VENV) && "$(BASE_PYTHON)" -m venv $(VENV) && echo "$(BASE_PYTHON)" > $@; \
	fi
.PHONY: FORCE
FORCE:

$(TOOLS): tools/requirements.txt $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tools/requirements.txt
	@touch $@

$(BENCH_TOOLS): benches/requirements.txt $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r benches/requirements.txt
	@touch $@

$(BSON_BENCH_TOOLS): benches/requirements-bson.txt $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r benches/requirements-bson.txt
	@touch $@

$(INSTALLED): $(SOURCES) $(TOOLS)
	rm -rf $(VENV)/wheel
	$(BIN)/maturin build --quiet --release --locked --interpreter $(BIN)/python --out $(VENV)/wheel
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps $(VENV)/wheel/*.whl
	@rm -rf $(VENV)/wheel
	@touch $@

build: $(INSTALLED)

run: build
ifeq ($(ARGS),)
	$(BIN)/python examples/run.py
else
	@$(BIN)/stoop $(ARGS)
endif

test: build
	$(BIN)/python tools/run_tests.py rust python

test-rust: $(TOOLS)
	$(BIN)/python tools/run_tests.py rust

test-python: build
	$(BIN)/python tools/run_tests.py python -- $(ARGS)

bench: build $(BENCH_TOOLS)
	$(BIN)/python benches/run.py $(ARGS)

bench-bson: build $(BSON_BENCH_TOOLS)
	$(BIN)/python benches/bson_run.py $(ARGS)

test-cpython: build
	$(BIN)/python tests/cpython/run.py $(ARGS)

test-differential: build
	$(BIN)/python tests/differential/run.py $(ARGS)

test-programs: build
	$(BIN)/python tests/programs/run.py $(ARGS)

lint: $(TOOLS)
	cargo fmt --all --check
	cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
	$(BIN)/ruff check --quiet --no-cache python tests benches examples tools
	$(BIN)/ruff format --quiet --no-cache --check python tests benches examples tools
	tools/house-rules

docs: build
	$(BIN)/python tools/options_page.py > docs/options.md

clean:
	rm -rf target .venv .venv-3.12 .venv-3.13
	find python tests benches examples tools -name __pycache__ -prune -exec rm -rf {} +
	rm -rf .pytest_cache benches/out examples/out
