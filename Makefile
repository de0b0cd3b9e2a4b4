# Thin: each target is one or two commands. `make help` lists them.
PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
export RDW_PORT := $(PORT)

.PHONY: help setup demo reproduce test chaos lint serve spec bench clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

setup: .venv/ready  ## make .venv with everything in it

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[worker,dev]'
	touch $@

demo: setup  ## the main job, end to end: scale, study, refit, train on demand
	@$(BIN)/python examples/demo.py

reproduce: setup  ## the paper's steps on typefaces in 20 minutes on two cores; a report in var/reproduce
	@$(BIN)/rdw reproduce --dataset typefaces --out var/reproduce --minutes 20

test: setup  ## the whole test suite
	$(BIN)/pytest -n 2 --dist worksteal

chaos: setup  ## processes and servers killed at random while 200 trainings run, on both set-ups (half an hour)
	$(BIN)/python -m tests.failures.chaos

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

serve: setup  ## API and workers on PORT, until interrupted
	@$(BIN)/rdw serve

spec: setup  ## write docs/openapi.json anew; refuses what breaks clients without a new version
	$(BIN)/python -m tests.contract.spec

bench: setup  ## every number of the README, measured again
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[worker,dev,bench]'
	for script in bench/*.py; do $(BIN)/python $$script || exit 1; done

clean:  ## remove .venv and caches; data stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
