# make help
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
DEMO := outputs/demo

.PHONY: help setup demo test test-slow lint format bench clean

help:  ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/.installed  ## Create .venv and install everything into it

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade 'pip>=24'
	$(RUN) -m pip install --quiet --editable '.[dev]'
	touch $@

demo: setup  ## Train on drawn faces and print the way to the report (about 2 minutes)
	$(RUN) -m tests.drawn_faces $(DEMO)/faces
	$(RUN) -m facebias.train +experiment=emotions_cnn3 name=demo data.root=$(DEMO)/faces trainer.max_epochs=10
	@echo && echo "The report, to be opened in a browser:" && ls -t $(DEMO)/*/report.html | head -n 1

test: setup  ## Run the quick tests
	$(RUN) -m pytest

test-slow: setup  ## Run the tests that train for minutes
	$(RUN) -m pytest -m slow

lint: setup  ## Check style and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

format: setup  ## Put the code into the project's format
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

bench: setup  ## Print speed as ratios against peers and plain loops
	$(RUN) -m tests.benchmarks.startup
	$(RUN) -m tests.benchmarks.training
	$(RUN) -m tests.benchmarks.fairness

clean:  ## Remove the environment and what tools left behind; outputs stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
