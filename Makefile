# `make serve` and `make test` are all a newcomer needs: each makes the environment first.
PYTHON ?= python3
CONFIG ?= config/demo.yaml
BIN := .venv/bin
UV := VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv

.DEFAULT_GOAL := help
.PHONY: help serve check test test-cluster lint format bench bench-gpu demo-checkpoints demo-eval lock clean

help:  ## What can be made.
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

serve: .venv/.installed  ## Install, start Ray and the graph, print its address. CONFIG=serve_config.yaml is production.
	@$(BIN)/python -m deployments $(CONFIG)

check: lint  ## Lint, and run every test that needs no cluster.
	$(BIN)/python -m pytest -m "not cluster" -n 2 --dist worksteal

test: check  ## Install, lint, and run every test.
	$(BIN)/python -m pytest -m cluster
	$(MAKE) test-cluster

# What is measured there is time: a machine that stood still is asked once more.
test-cluster: .venv/.installed-dev  ## Scale, break and overload a real cluster.
	$(BIN)/python -m pytest tests/cluster || $(BIN)/python -m pytest tests/cluster --last-failed

lint: .venv/.installed-dev  ## ruff, mypy, import contracts.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.installed-dev  ## Format and sort imports.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.installed-dev  ## Measure the graph against naive servers. BENCH="--only embedding-32" is one workload.
	@$(BIN)/python -W ignore -m benchmarks $(BENCH)

bench-gpu: .venv/.installed  ## Measure every pipeline on CUDA against what the device can do.
	@$(BIN)/python -W ignore -m benchmarks.gpu

.venv/.installed-training: .venv/.installed requirements/training.txt
	$(UV) pip install --quiet --require-hashes -r requirements/training.txt
	touch $@

demo-checkpoints: .venv/.installed-training  ## Train checkpoints/demo anew (needs espeak-ng and flite), 2 cores, 3 hours.
	$(BIN)/python -W ignore -m training
	$(BIN)/python -W ignore -m training.evaluate

demo-eval: .venv/.installed-training  ## Measure checkpoints/demo on held-out voices and write their cards.
	$(BIN)/python -W ignore -m training.evaluate

lock: .venv/bin/uv  ## Resolve the dependencies anew into requirements/.
	$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-header requirements/build.in -o requirements/build.txt
	$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-header pyproject.toml -o requirements/base.txt
	$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-header pyproject.toml --extra dev -c requirements/base.txt -o requirements/dev.txt
	$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-header pyproject.toml --extra training -c requirements/base.txt -o requirements/training.txt

clean:  ## Remove the environment and every cache.
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
