# AgentOps. Needs Python 3.11 or later and make, nothing else.

PYTHON ?= python3
PY := .venv/bin/python
RUFF := $(PY) -m ruff
WORKLOAD ?= examples/workloads/parcel_desk.json
ARGS ?=
RESTATE := @restatedev/restate-server@1.7.12
CHECKED := agentops runs tools gateway policy tests examples scripts manage.py
# Settings want values; what only reads code (types, contracts) gets some that lead nowhere.
NOWHERE := AGENTOPS_SECRET_KEY=nowhere DATABASE_URL=postgresql://no@127.0.0.1/where REDIS_URL=redis://127.0.0.1:1/0
COMPILE := $(PY) -m uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url \
	--no-annotate --no-header --generate-hashes

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev up demo play bench simulate storm crashsweep prove test test/unit test/integration fmt lint types arch \
	migrations record requirements clean

help: ## print these targets
	@awk -F ':.*## ' '/^[a-z\/-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## build .venv for running; quick when it is there
	@$(PYTHON) scripts/make_env.py .venv requirements.txt

setup-dev:
	@$(PYTHON) scripts/make_env.py .venv requirements.txt requirements-dev.txt

up: setup ## start everything, play the demo, print where it is; q or Ctrl-C ends it
	@$(PY) manage.py dev $(ARGS)

demo: setup ## the same in a scratch folder; ends when no run is left, prints JSON
	@$(PY) manage.py dev --demo $(ARGS)

play: setup ## prove it on a workload: make play WORKLOAD=file.json ARGS="--tasks 10"
	@$(PY) manage.py play $(WORKLOAD) $(ARGS)

bench: setup-dev ## measure durable super-steps, beside LangGraph, DBOS and Restate
	@$(PYTHON) scripts/make_env.py .venv-bench requirements-bench.txt
	@[ -d .venv-bench/node ] || npm install --silent --no-audit --no-fund --ignore-scripts --no-save \
		--prefix .venv-bench/node $(RESTATE) || echo "no npm here: Restate will not be measured"
	@$(PY) manage.py bench $(ARGS)

simulate: setup ## play runs under simulated faults: make simulate ARGS="--schedules 10000"
	@$(PY) manage.py simulate $(ARGS)

crashsweep: setup ## kill a process at every fault point in turn: make crashsweep ARGS="--every 5"
	@$(PY) manage.py crashsweep $(ARGS)

prove: setup ## everything that proves the guarantees, at length
	@$(PY) manage.py simulate --schedules 100000
	@$(PY) manage.py crashsweep
	@$(PY) manage.py storm --runs 200 --seconds 60

storm: setup ## random faults on real servers, then a checker: make storm ARGS="--seed 7"
	@$(PY) manage.py storm $(ARGS)

test: setup-dev lint arch types migrations ## everything CI runs
	@$(PY) -m pytest -n auto $(ARGS)

test/unit: setup-dev ## the tests that need no servers, in seconds
	@$(PY) -m pytest tests/unit tests/architecture $(ARGS)

test/integration: setup-dev ## the tests with real servers and processes
	@$(PY) -m pytest tests/integration tests/contract $(ARGS)

fmt: setup-dev ## format the code
	@$(RUFF) format $(CHECKED)
	@$(RUFF) check --fix --quiet $(CHECKED)

lint: setup-dev ## check format and style
	@$(RUFF) format --check --quiet $(CHECKED)
	@$(RUFF) check $(CHECKED)

types: setup-dev ## check types
	@$(NOWHERE) $(PY) -m mypy $(CHECKED)

arch: setup-dev ## check which way imports go
	@$(NOWHERE) $(PY) -c 'from importlinter.cli import lint_imports_command as run; run()'

migrations: setup ## check that the models and the migrations agree
	@$(PY) manage.py scratch makemigrations --check --dry-run

record: setup ## when a release is cut: write down what its processes ask of a database
	@$(PY) scripts/record_release.py

requirements: setup-dev ## compile requirements*.txt again from pyproject.toml
	@$(COMPILE) -o requirements.txt pyproject.toml
	@$(COMPILE) -c requirements.txt --group dev -o requirements-dev.txt
	@$(COMPILE) --group bench -o requirements-bench.txt

clean: ## remove what can be made again: environments, caches, the state folder
	@if [ -d .agentops ] && [ -x $(PY) ]; then $(PY) manage.py dev --reset-only; fi
	@rm -rf .agentops .venv .venv-bench .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
