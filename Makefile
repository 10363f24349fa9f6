.DEFAULT_GOAL := help
.PHONY: docs help setup run test fuzz check

PYTHON ?= $(shell scripts/python)
PORT ?= 2222
ARGS ?=

help: ## show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/dev ## install nacre for development, and the peers of the interop tests
	@scripts/peers

run: .venv/run ## start a demo server on 127.0.0.1:2222 (PORT=2223 for another port)
	@.venv/bin/python scripts/demo.py $(PORT)

test: setup ## run every test (ARGS=tests/wire for a part)
	@.venv/bin/python -m pytest -n 2 --dist worksteal $(ARGS)

fuzz: .venv/dev ## mutate what peers send, for NACRE_FUZZ_SECONDS in each test (60), from new seeds
	@NACRE_FUZZ_SECONDS=$${NACRE_FUZZ_SECONDS:-60} NACRE_FUZZ_SEED=$${NACRE_FUZZ_SEED:-$$(date +%s)} \
		.venv/bin/python -m pytest -n 2 --dist worksteal tests/fuzz

check: .venv/dev ## format, lint, types, and who imports whom
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

docs: .venv/dev ## write the reference, from the docstrings, to build/docs
	@.venv/bin/pdoc -o build/docs nacre nacre.blocking nacre.testing nacre.errors nacre.limits nacre.protocol nacre.keys

bench: setup ## how fast a command's output comes down, against OpenSSH
	@.venv/bin/python bench/exec_down.py

# Each holds when its extras are installed as pyproject.toml asks. What suits development suits `run`.
.venv/run: pyproject.toml
	@test -e .venv/dev || scripts/venv "$(PYTHON)" cli,server
	@! test -e .venv/dev || scripts/venv "$(PYTHON)" dev
	@touch $@

.venv/dev: pyproject.toml
	@scripts/venv "$(PYTHON)" dev
	@touch $@ .venv/run
