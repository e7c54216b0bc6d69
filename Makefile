# Every target sets up what it needs: Python 3.11 or newer and make are enough. `make` alone prints this list.

PYTHON ?= python3
BIN := .venv/bin
# Tests wait for processes, disks and clocks more than they compute (two of them keep a third of two cores busy); the tests
# of one module stay together.
SPREAD := -n 3 --dist loadscope
DAILY := not torture and not long

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo up web types test quick test-all check bench torture snapshot guides lock install clean runtime dev

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: runtime ## see it work: three customers, two agents, one of them killed, every picture arrives
	@$(BIN)/python -m ops.website build --if-able
	@$(BIN)/python -m control_plane.cli.demo

up: runtime ## use it: the whole service on this machine, until Ctrl-C (PORT=8001 ARGS=--lan)
	@$(BIN)/python -m ops.website build --if-able
	@TESSERA_DATA_DIR="$${TESSERA_DATA_DIR:-$(CURDIR)/.tessera}" $(BIN)/tessera up \
		$(if $(HOST),--host $(HOST)) $(if $(PORT),--port $(PORT)) $(ARGS)

web: runtime ## build the website (needs Node 20 or newer); a running service shows it after its next start
	@$(BIN)/python -m ops.website build

types: dev ## write the website's types of the API anew (needs Node 20 or newer)
	@$(BIN)/python -m ops.website types

test: check ## check it: linters, types, dependency contracts and every test
	$(call stage,tests)
	@$(BIN)/python -m pytest -q $(SPREAD) -m "not slow and $(DAILY)"
	$(call stage,slow tests)
	@$(BIN)/python -m pytest -q $(SPREAD) -m "slow and not alone and $(DAILY)"
	@$(BIN)/python -m pytest -q -m "slow and alone and $(DAILY)"

quick: dev ## the fast part of the tests
	@$(BIN)/python -m pytest -q $(SPREAD) -m "not slow and $(DAILY)" tests/sql tests/control_plane tests/test_*.py

# New examples for the properties in each run; `make test` has the same ones, so that a commit has one answer.
test-all torture: export TESSERA_TEST_EXPLORE = 1
test-all: test torture ## everything, also what takes long or wants a bare system
	$(call stage,long tests)
	@$(BIN)/python -m pytest -q -m long

check: dev ## linters, types and dependency contracts
	$(call stage,linters)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	$(call stage,types)
	@$(BIN)/mypy
	$(call stage,dependency contracts)
	@$(BIN)/lint-imports --no-logo

bench: dev ## the race, as a table (ARGS="--json FILE")
	@$(BIN)/python -m tests.bench $(ARGS)

torture: dev ## the history checker at full length
	$(call stage,torture)
	@$(BIN)/python -m pytest -q -m torture

snapshot: dev ## write sql/schema.sql anew
	@$(BIN)/python -m ops.snapshot

guides: dev ## write the guides of the HTTP API and of the database anew
	@$(BIN)/python -m ops.api_guide
	@$(BIN)/python -m ops.database_guide

lock: dev ## choose the versions of all dependencies anew
	@PATH="$(BIN):$$PATH" $(BIN)/python -m ops.lock

install: runtime ## only set up .venv, for `tessera` and `tessera-agent`

clean: ## remove the environment and caches; your data in .tessera stays
	rm -rf .venv .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	cd frontends/website && rm -rf node_modules .next out
	find . -name __pycache__ -type d -not -path './.tessera/*' -prune -exec rm -rf {} +

runtime dev:
	@command -v $(PYTHON) >/dev/null || { echo "Python is missing. Install it (Debian, Ubuntu: sudo apt install python3 python3-venv) and run make again."; exit 1; }
	@$(PYTHON) ops/bootstrap.py $@

define stage
	@printf '\n== %s\n' "$(1)"
endef
