# Every target sets up what it needs; nothing has to be activated.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.synced

.DEFAULT_GOAL := help
.PHONY: help setup run test check bench faults ui lock clean

help: ## show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

setup: $(STAMP) ## make .venv from requirements.lock

# uv itself comes out of the lock, by its hash; then it installs the rest in seconds.
$(STAMP): requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo "fettle needs $(PYTHON); name another with make PYTHON=..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	awk '/^[a-z]/ { block = /^uv==/ } block' requirements.lock > $(VENV)/uv.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(VENV)/uv.lock
	$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode --python $(BIN)/python requirements.lock
	touch $@

run: $(STAMP) ## the whole pipeline on the data params.yaml names
	./fettle run

test: $(STAMP) ## all tests, as CI runs them
	$(BIN)/python -B -m pytest --numprocesses 2 --dist worksteal

check: $(STAMP) ## ruff, mypy, dvc.yaml as rendered, and known weaknesses of packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	./fettle render --check
	$(if $(filter no,$(AUDIT)),,$(BIN)/python -B -m tests.audit)

# Another table: make bench DATA="FILE --target COLUMN --yes", as for ./fettle init.
bench: $(STAMP) ## speed and memory, as ratios within one run
	$(BIN)/python -B -m benchmarks.speed $(DATA)
	$(BIN)/python -B -m benchmarks.bench
	$(BIN)/python -B -m benchmarks.streaming

faults: $(STAMP) ## kill, fill and corrupt at random moments (SEED=), then see the same bytes
	$(BIN)/python -B -m tests.faults --write $(if $(SEED),--seed $(SEED))
	$(BIN)/python -B -m pytest -m faults --override-ini addopts= -x

ui: $(STAMP) ## Prefect's UI on 127.0.0.1 or HOST=…, and the nights served on their schedule
	./fettle ui $(if $(HOST),--host $(HOST)) $(if $(PORT),--port $(PORT))

lock: ## compile requirements.lock anew
	$(BIN)/uv pip compile pyproject.toml --group dev --all-extras --generate-hashes --no-emit-index-url --python-version 3.11 -o requirements.lock

# What is not of a stage cannot be made again: champions and what was decided of them.
clean: ## end the server; remove what can be made again, but for the environment and DVC's cache
	@if [ -x $(BIN)/python ]; then ./fettle server stop; fi
	if [ -d artifacts ]; then find artifacts -mindepth 1 -maxdepth 1 ! -name 'champion*' ! -name .gitignore -exec rm -rf {} +; fi
	rm -rf .fettle .pytest_cache .mypy_cache .ruff_cache
