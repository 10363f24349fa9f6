.DEFAULT_GOAL := help
.PHONY: docs help setup run quick test pythons coverage interop uppity long transcripts screenshots fuzz fuzz-nightly faults check \
	mutants shape diagrams man bench profile regress dist deb image sbom

# Tests start nacre's programs a thousand times: compiled anew each time, they take twice as long.
export PYTHONDONTWRITEBYTECODE =
PYTHON ?= $(shell scripts/python)
PORT ?= 2222
ARGS ?=
ONLY ?=
PAIRS ?= 5
SIZE ?= 1024
HOURS ?= 8
# Tests wait for half of their time, so there are more of them at once than two cores.
JOBS ?= 3
PROGRAMS ?= all

help: ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/dev ## install nacre for development, and the peers of the interop tests
	@scripts/peers

run: .venv/run ## start a demo server on 127.0.0.1:2222, and its console (PORT=2223 for another port)
	@.venv/bin/python scripts/demo.py $(PORT)

quick: .venv/dev ## run the tests that need no peers and are fast (ARGS=tests/wire for a part)
	@NACRE_FUZZ_SECONDS=0.1 .venv/bin/python -m pytest -n $(JOBS) --dist worksteal \
		-m "not (slow or interop or uppity or long)" --hypothesis-profile quick $(ARGS)

pythons: .venv/dev ## run quick tests on the other Pythons that the machine has (ARGS=tests for all)
	@scripts/pythons $(ARGS)

test: setup ## run every test, with peers and the slow ones (ARGS=tests/wire for a part)
	@.venv/bin/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

again: .venv/dev ## run what failed in the last run again, each test alone, and pass if few were unsteady
	@.venv/bin/python scripts/again.py

# What counts calls or loaded modules, moves much or starts many programs (untraced), and what needs peers,
# runs without the measurement, which doubles the time of a test.
coverage: setup ## run every test, and fail where branch coverage is below its floor
	@rm -rf build/coverage
	@.venv/bin/coverage run -m pytest -n $(JOBS) --dist worksteal -m "not (untraced or interop or uppity or long)"
	@.venv/bin/python -m pytest -n $(JOBS) --dist worksteal -m "(untraced or interop) and not (uppity or long)"
	@.venv/bin/coverage combine -q
	@.venv/bin/coverage report

interop: setup ## meet clients and servers that others wrote, and write docs/interop.md
	@.venv/bin/python -m pytest -n $(JOBS) --dist worksteal -o junit_family=xunit1 \
		--junit-xml build/interop.xml tests/interop/test_foreign_*.py tests/interop/test_remote_tools.py; \
		status=$$?; .venv/bin/python scripts/interop_page.py build/interop.xml && exit $$status

regress: setup ## run OpenSSH's own tests (PROGRAMS="ssh sshd", client, server, none; ONLY="connect scp")
	@.venv/bin/python scripts/regress.py --programs "$(PROGRAMS)" --only "$(ONLY)"

uppity: setup ## build PuTTY's SSH-1 server for tests from Debian's source, and meet it
	@scripts/uppity
	@.venv/bin/python -m pytest -m uppity tests/interop

long: setup ## run what takes minutes: 20 kills of servers, 1 GiB on object storages, 10,000 hosts
	@.venv/bin/python -m pytest -n $(JOBS) --dist worksteal -m long $(ARGS)

transcripts: setup ## record SSH-2 conversations with the peers anew (ARGS=clients/openssh-key for one)
	@PYTHONPATH=src:tests .venv/bin/python tests/transcripts/record.py $(ARGS)

screenshots: setup ## take the pictures of the console in docs/images, with Chromium
	@PYTHONPATH=src:tests .venv/bin/python tests/interop/console/screenshots.py

fuzz: .venv/fuzz ## fuzz for about a quarter of an hour, and print a table (ONLY=sftp for a part)
	@.venv/bin/python scripts/fuzzing.py --hours 0.2 $(ONLY)

fuzz-nightly: .venv/fuzz ## fuzz for HOURS (8), and print a table (ONLY="machine known" for a part)
	@.venv/bin/python scripts/fuzzing.py --hours $(HOURS) $(ONLY)

faults: setup ## 1,000 faults of the network (NACRE_FAULTS), from NACRE_FAULTS_SEED on (1)
	@NACRE_FAULTS=$${NACRE_FAULTS:-1000} .venv/bin/python -m pytest -n $(JOBS) --dist worksteal \
		tests/interop/test_faults.py

mutants: .venv/dev ## change the core a little, and fail where its tests do not notice (ONLY="kex walk")
	@.venv/bin/python scripts/mutants.py --only "$(ONLY)"

check: .venv/dev ## format, lint, types, imports, shape, diagrams, manual pages, and a reference that can be made
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	@.venv/bin/python scripts/shape.py
	@.venv/bin/python scripts/diagrams.py --check
	@.venv/bin/python scripts/manual.py --check
	@$(MAKE) --no-print-directory docs

shape: .venv/dev ## print how long files and functions are, and fail where a bound is exceeded
	@.venv/bin/python scripts/shape.py

diagrams: .venv/dev ## draw the stages of the protocols into docs/architecture.md
	@.venv/bin/python scripts/diagrams.py

man: .venv/dev ## write the manual pages and the pages of keywords, from nacre help, to docs
	@.venv/bin/python scripts/manual.py

docs: .venv/dev ## write the reference, from the docstrings, to build/docs
	@.venv/bin/pdoc -o build/docs nacre nacre.apps nacre.blocking nacre.fleet nacre.testing nacre.errors nacre.limits nacre.protocol nacre.keys

bench: setup .venv-bench/ready ## measure against OpenSSH, AsyncSSH, Paramiko (ONLY=sftp-get PAIRS=5 SIZE=1024)
	@ls /usr/lib/*/libnss_wrapper.so >/dev/null 2>&1 || scripts/apt libnss-wrapper
	@.venv/bin/python -m bench --only "$(ONLY)" --pairs $(PAIRS) --size $(SIZE)

profile: setup .venv-bench/ready ## write where the time of a download and of a login goes to docs/performance.md
	@ls /usr/lib/*/libnss_wrapper.so >/dev/null 2>&1 || scripts/apt libnss-wrapper
	@.venv/bin/python -m bench.profiles

dist: .venv/dev ## make the source archive and the wheel of the last commit in dist
	@.venv/bin/python scripts/dist.py

deb: .venv/dev ## make a Debian package of the last commit, for this release of Debian, in dist
	@.venv/bin/python scripts/deb.py

image: ## build the container image nacre, where podman, buildah or docker is there
	@scripts/image nacre

sbom: .venv/dev ## write the bill of materials of the wheel in dist
	@.venv/bin/python scripts/sbom.py

# The peers that are libraries, in an environment of their own.
.venv-bench/ready: bench/requirements.txt
	@"$(PYTHON)" -m venv .venv-bench
	@.venv-bench/bin/python -m pip install -qq --disable-pip-version-check \
		--root-user-action=ignore --requirement bench/requirements.txt
	@touch $@

# Each holds when its extras are installed as pyproject.toml asks. What suits development suits `run`.
.venv/run: pyproject.toml
	@test -e .venv/dev || scripts/venv "$(PYTHON)" api,cli,console,server
	@! test -e .venv/dev || scripts/venv "$(PYTHON)" dev
	@touch $@

# Not every machine has a wheel of atheris, and to build it takes a compiler of its own.
.venv/fuzz: .venv/dev
	@PIP_ONLY_BINARY=atheris scripts/venv "$(PYTHON)" dev,fuzz || \
		echo "atheris can't be installed here: coverage will not guide the fuzzers"
	@touch $@

.venv/dev: pyproject.toml
	@scripts/venv "$(PYTHON)" dev
	@touch $@ .venv/run
