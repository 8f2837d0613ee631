# make help
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
DEMO := demo_$(shell date +%Y-%m-%d_%H-%M-%S)
DEMO_EPOCHS := 5
DEMO_FACES := 4000

.PHONY: help setup demo test test-slow test-slurm lint format bench clean

help:  ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/.installed  ## Create .venv and install everything into it

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade 'pip>=24'
	$(RUN) -m pip install --quiet --editable '.[dev]'
	touch $@

demo: setup  ## Train on three biased sets of generated faces, two seeds each, and compare them
	$(RUN) -m facebias.train -m +experiment=faces_positive,faces_negative,faces_balanced seed=0,1 \
	  sweep=$(DEMO) trainer.max_epochs=$(DEMO_EPOCHS) data.reader.n=$(DEMO_FACES) callbacks.cam=null \
	  hydra/launcher=joblib hydra.launcher.n_jobs=2
	$(RUN) -m facebias.compare sweep=$(DEMO) paths.run=outputs/compare/$(DEMO)
	@echo && echo "Open in a browser: file://$(CURDIR)/outputs/compare/$(DEMO)/report.html"
	@echo "Each network's own page:" && ls $(CURDIR)/outputs/sweeps/$(DEMO)/*/report.html

test: setup  ## Run the quick tests, on all cores
	$(RUN) -m pytest -n auto --dist loadfile

test-slow: setup  ## Run the tests that train for minutes, and invariants on more examples
	$(RUN) -m pytest -m slow
	$(RUN) -m pytest -n auto --dist loadfile --hypothesis-profile=thorough tests/data

test-slurm: setup  ## Run jobs of a Slurm on this machine, as root
	$(RUN) -m pytest -m slurm tests/slurm

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
	$(RUN) -m tests.benchmarks.loading
	$(RUN) -m tests.benchmarks.fairness
	$(RUN) -m tests.benchmarks.audit
	$(RUN) -m tests.benchmarks.faces
	$(RUN) -m tests.benchmarks.leaks
	$(RUN) -m tests.benchmarks.tables
	$(RUN) -m tests.benchmarks.sweeps
	$(RUN) -m tests.benchmarks.callbacks
	$(RUN) -m tests.benchmarks.cam
	$(RUN) -m tests.benchmarks.attention
	$(RUN) -m tests.benchmarks.live

clean:  ## Remove the environment and what tools left behind; outputs stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
	find facebias tests -name __pycache__ -prune -exec rm -rf {} +
