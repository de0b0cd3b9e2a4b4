# Thin: each target is one or two commands. `make help` lists them.
PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
CHECKOV := .venv/checkov/3.3.30
NPM := npm --prefix tests/dashboard --no-audit --no-fund --no-update-notifier
export RDW_PORT := $(PORT)

.PHONY: help setup demo reproduce test test-exhaustive test-all chaos lint lint-dashboard lint-deploy docs screenshots serve spec bench clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

setup: .venv/ready  ## make .venv with everything in it

.venv/ready: pyproject.toml client/pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ./client -e '.[worker,dev]'
	touch $@

demo: setup  ## the main job, end to end: scale, study, refit, train on demand
	@$(BIN)/python examples/demo.py

reproduce: setup  ## the paper's steps on typefaces in 20 minutes on two cores; a report in var/reproduce
	@$(BIN)/rdw reproduce --dataset typefaces --out var/reproduce --minutes 20

test: setup  ## the tests, in random order: at most ten minutes on two cores
	$(BIN)/pytest -n 3 --dist worksteal

test-exhaustive: setup  ## the tests that `test` leaves out, and every property on many more examples
	$(BIN)/pytest -n 2 --dist worksteal -m "exhaustive or property" --hypothesis-profile ci

test-all: test test-exhaustive  ## every test: at most 25 minutes on two idle cores

chaos: setup  ## processes and servers killed at random while 200 trainings run, on both set-ups (half an hour)
	$(BIN)/python -m tests.failures.chaos

lint: setup  ## ruff, mypy, the import contracts, and the files for docker
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

lint-dashboard:  ## ESLint and the types of JSDoc (tsc) on the JavaScript; skipped without npm
	@command -v npm >/dev/null || { echo 'SKIPPED: without npm (apt install npm) no JavaScript is checked' >&2; exit 0; }; \
		$(MAKE) --no-print-directory tests/dashboard/node_modules/.package-lock.json && \
		$(NPM) run --silent lint && $(NPM) run --silent types

tests/dashboard/node_modules/.package-lock.json: tests/dashboard/package-lock.json
	$(NPM) ci --silent

lint-deploy: $(CHECKOV)/bin/checkov  ## checkov on the Dockerfile and the rendered Kubernetes overlays (needs kubectl)
	for overlay in small large; do \
		kubectl kustomize deploy/kubernetes/$$overlay > $(CHECKOV)/$$overlay.yaml || exit 1; \
	done
	$(CHECKOV)/bin/checkov --config-file .checkov.yaml --framework dockerfile kubernetes \
		--file Dockerfile $(CHECKOV)/small.yaml $(CHECKOV)/large.yaml

$(CHECKOV)/bin/checkov:
	$(PYTHON) -m venv $(CHECKOV)
	$(CHECKOV)/bin/pip install --quiet --disable-pip-version-check checkov==$(notdir $(CHECKOV))

docs: setup  ## build the documentation as a website in site/
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ./client -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

screenshots: setup  ## the documents' screenshots of the dashboard, from a study that is trained in var/screenshots
	$(BIN)/python -m tests.browser.screenshots var/screenshots

serve: setup  ## API and workers on PORT, until interrupted
	@$(BIN)/rdw serve

spec: setup  ## update docs/openapi.json; refuses changes that break clients without a new version
	$(BIN)/python -m tests.contract.spec

bench: setup  ## every number of the README, measured again
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ./client -e '.[worker,dev,bench]'
	for script in bench/*.py; do $(BIN)/python $$script || exit 1; done

clean:  ## remove .venv and caches; data stays
	rm -rf .venv tests/dashboard/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis
