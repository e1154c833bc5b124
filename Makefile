# All that is needed: make, and Python 3.11 or newer. Each target sets up its own .venv, once.
.DEFAULT_GOAL := help
.NOTPARALLEL:
SHELL := /bin/sh

# The first that fits and can make environments; another one: make demo PYTHON=/path/to/python3.12
FITS := import sys, ensurepip; (3, 11) <= sys.version_info < (3, 15) and print(sys.executable)
ifndef PYTHON
PYTHON := $(shell for name in python3.13 python3.12 python3.11 python3.14 python3 python; do \
	found=$$($$name -c '$(FITS)' 2>/dev/null) && test -n "$$found" && echo "$$found" && break; done)
endif
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
UV ?= uv
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command 'make lock'
RUN_HERE := pyproject.toml requirements/build.in --extra service --extra kafka

define setup
@test -n "$(PYTHON)" || { \
	echo "No Python 3.11 to 3.14 that can make environments was found." >&2; \
	echo "On Debian or Ubuntu: apt install python3 python3-venv. Or name one: make $@ PYTHON=/path/to/python3.12" >&2; \
	exit 1; }
@"$(PYTHON)" requirements/install.py $(1)
endef

.PHONY: help
help: ## what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-8s %s\n", $$1, $$2 }'

.PHONY: demo
demo: ## a story on a real Kafka, from an event to a decision (KEEP=1 leaves it running)
	$(call setup,demo)
	@$(BIN)/consentry demo $(if $(KEEP),--keep)

.PHONY: test
test: ## every test but the slow ones, on a real Kafka
	$(call setup,test)
	@$(PYTEST) -m "not slow and not deep" --cov --cov-report=term:skip-covered $(ARGS)

.PHONY: slow
slow: ## the slow tests: kills, pauses, take-overs, long load
	$(call setup,test)
	@$(PYTEST) -m "slow and not deep" $(ARGS)

.PHONY: deep
deep: ## slow tests and those too long for CI; keeps the output in tests/deep-run.txt
	$(call setup,test)
	@{ echo "commit $$(git rev-parse HEAD)$$(git diff --quiet HEAD -- . ':!tests/deep-run.txt' || echo ' with changes'), $$(date -u '+%Y-%m-%d %H:%M UTC')"; \
	$(PYTEST) -m "slow or deep" --no-header --durations=0 $(ARGS) 2>&1; echo "exit $$?"; } | tee tests/deep-run.txt; \
	tail -n 1 tests/deep-run.txt | grep -qx 'exit 0'

.PHONY: bench
bench: ## the benchmarks, against peers, on one real broker; about 13 minutes (QUICK=1 for small ones)
	$(call setup,bench)
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(ARGS)

.PHONY: check lint types imports schemas
check: lint types imports schemas ## style, types, import rules, compatibility of schemas
lint:
	$(call setup,test)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
types:
	$(call setup,test)
	@$(BIN)/mypy consentry streams
imports:
	$(call setup,test)
	@$(BIN)/lint-imports --no-cache
schemas:
	$(call setup,test)
	@$(PYTEST) -q tests/contract/test_schemas.py

.PHONY: lock
lock: ## pin all dependencies anew (needs uv); the widest first, so that all agree
	$(LOCK) --upgrade $(RUN_HERE) --extra dev --extra bench -o requirements/bench.lock
	$(LOCK) --upgrade $(RUN_HERE) --extra dev -c requirements/bench.lock -o requirements/test.lock
	$(LOCK) --upgrade $(RUN_HERE) -c requirements/bench.lock -o requirements/demo.lock
	$(LOCK) --upgrade pyproject.toml --extra service -c requirements/bench.lock -o requirements/service.lock
	$(LOCK) --upgrade requirements/build.in -c requirements/bench.lock -o requirements/build.lock
	$(LOCK) --upgrade requirements/mutation.in -o requirements/mutation.lock

.PHONY: clean
clean: ## remove .venv and what tests and tools left
	@rm -rf .venv .run/mutmut build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
