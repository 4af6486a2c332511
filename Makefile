# Everything a change has to pass, by one name each. `make` lists them; `.ci/run` is the gate and runs the same commands.
.DEFAULT_GOAL := help
BIN := .venv/bin

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

setup:  ## a virtual environment with everything, from the lock
	python3 -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-test.txt

format:  ## write the code as it is written here
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix --quiet .

lint:  ## format and lint, changing nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types:  ## mypy, strict
	$(BIN)/mypy

contracts:  ## who may import whom
	$(BIN)/lint-imports

test:  ## all tests, or TESTS=tests/circuit for some
	$(BIN)/python -m pytest $(TESTS)

up:  ## server, UI and a worker of this checkout, until Ctrl-C
	$(BIN)/python starter.py up

figures:  ## BENCHMARKS.md of what was measured; MEASURE=all measures first, on an idle machine, or MEASURE=storm
	$(BIN)/python -m benchmarks $(addprefix --measure ,$(MEASURE))

peers:  ## the frameworks that the storm is measured beside, in .venv-peers
	python3 -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --requirement benchmarks/peers/requirements.txt

histories:  ## record the runs that the tests replay again, or NAMES="one another"
	$(BIN)/python -m tests.histories.record $(NAMES)

check: lint types contracts test  ## all of it: what the gate asks

lock:  ## pin every dependency again, after a change of pyproject.toml (needs uv)
	.ci/lock

screenshots:  ## README's pictures of the Temporal UI and of a run's page (needs a Chromium)
	$(BIN)/python -m tests.browser.screenshots

.PHONY: screenshots help setup format lint types contracts test up figures peers histories check lock
