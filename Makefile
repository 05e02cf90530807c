# make quickstart            a Swedish student from a real teacher, about a quarter of an hour on two CPU cores
# make quickstart BUDGET=small   the same in a few minutes, less well trained
# make test                  formatting, lint, types and tests
# make test-fast             the tests that need no process, no fine-tune and no real teacher
# make test-slow             the tests that run for minutes
# make test-clients          the programs that people load a student with, each on an exported one
# make trust                the week in which everything goes wrong: kills, full disks, damage, hostile input
# make docs                  the pages of docs/ as a site, in site/; a link that leads nowhere is an error
# make docs-serve            the same on http://127.0.0.1:8000, anew at every change
# make revisions            note that changed code was looked at (distill/pipeline/stages)
# make schema                recipes/schema.json and the reference pages of docs/, from the code

VENV ?= .venv
BIN := $(VENV)/bin
# The first Python here that is new enough.
PYTHON ?= $(firstword $(foreach python,python3 python3.13 python3.12 python3.11 python,$(shell command -v $(python) >/dev/null 2>&1 && $(python) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(python))))
BUDGET ?= full
$(if $(filter full small,$(BUDGET)),,$(error BUDGET is full or small, not $(BUDGET)))
SETTINGS_full :=
SETTINGS_small := --set distillation.tokens=120k --set distillation.minutes=0.75 --set distillation.validations=2 --set benchmark.batch_sizes=[1] --set benchmark.seconds=1

.PHONY: quickstart test test-fast test-slow test-clients trust lint types schema docs docs-serve revisions ui clean

quickstart: $(VENV)/.quickstart
	$(BIN)/python -m distill recipe quickstart.yaml $(SETTINGS_$(BUDGET))

# Three at once on two cores: a third of the time a test waits for a process that it started.
test: lint types
	$(BIN)/python -m pytest -m "not slow and not trust and not clients" -n 3 --dist loadfile --no-loadscope-reorder

test-fast: $(VENV)/.test
	$(BIN)/python -m pytest -m "not slow and not trust and not clients and not long" -n 2 -q

test-slow: $(VENV)/.test
	$(BIN)/python -m pytest -m slow

test-clients: $(VENV)/.clients
	$(BIN)/python -m pytest -m clients tests/clients

trust: $(VENV)/.test
	$(BIN)/python -m pytest tests/trust -n 2 --dist loadfile

lint: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.test
	$(BIN)/mypy

revisions: $(VENV)/.test
	$(BIN)/python -m tests.pipeline.revisions

schema: $(VENV)/.quickstart
	$(BIN)/python -m distill.recipe.schema > recipes/schema.json
	$(BIN)/python docs/reference.py

docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict --quiet
	@echo "site/index.html"

docs-serve: $(VENV)/.docs
	$(BIN)/mkdocs serve

ui: $(VENV)/.quickstart
	$(BIN)/python -m distill ui

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis site

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "distill needs Python 3.11 or newer; name one with make PYTHON=..."; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.quickstart: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[quickstart]"
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[quickstart,test]"
	@touch $@ $(VENV)/.quickstart

$(VENV)/.clients: pyproject.toml constraints.txt $(wildcard tests/clients/*.txt) examples/browser/package-lock.json | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[quickstart,test,openvino,clients]"
	$(BIN)/python -m tests.clients.environments
	cd examples/browser && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@ $(VENV)/.quickstart $(VENV)/.test

$(VENV)/.docs: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	@touch $@
