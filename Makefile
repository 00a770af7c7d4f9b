# What people type. Each target does its own set-up; the work itself is in devserver/.
PYTHON ?= python3

.DEFAULT_GOAL := help
.PHONY: help installed setup run card test test-fast chaos check ids bench lock clean

VENV := .venv/bin/python

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

installed:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is too old or not there: Python 3.11 or later is needed. For another one: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -m devserver.bootstrap

setup: installed ## Prepare .venv and the npm packages (again only when what they are made from has changed)
	@$(VENV) -m devserver vendor

run: installed ## Bring up the whole portal with demo data (PORT=8000, VAR_DIR=var); Ctrl-C stops it
	@exec $(VENV) -m devserver run

card: installed ## The card in the software reader of `make run`: NO=2100000000002 changes it, NO=none takes it out
	@exec $(VENV) -m devserver card $(NO)

test: setup ## Run every test, those in a real browser included
	@$(VENV) -m devserver system
	@status=0; \
	$(VENV) -m pytest -n 2 tests --ignore tests/e2e --ignore tests/chaos || status=$$?; \
	$(VENV) -m pytest tests/e2e || status=$$?; \
	exit $$status

test-fast: setup ## Run the tests that need no browser
	@$(VENV) -m pytest -n 2 tests --ignore tests/e2e --ignore tests/chaos

chaos: setup ## Declare filings while everything dies around them (minutes; CHAOS_SEED=…, CHAOS_FILINGS=2000)
	@$(VENV) -m pytest tests/chaos

check: setup ## Lint, format, types, import contracts, missing migrations, deployment checks
	@exec $(VENV) -m devserver check

ids: setup ## Print every requirement with its tests and its state
	@$(VENV) -m tests.traceability

bench: setup ## Measure; prints a table and JSON
	@$(VENV) -m benchmarks

lock: setup ## Pin the newest versions that requirements*.in and package.json allow
	@$(VENV) -m devserver pin

clean: ## Remove all that can be made again, the demo data included; refuses while a portal runs from VAR_DIR
	@if test -x $(VENV); then $(VENV) -m devserver clean; fi
	rm -rf node_modules .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
