# `make quickstart` and `make test` are all a newcomer needs. PYTHON must be 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet $(PIP_EXTRA) -c constraints.txt

.PHONY: quickstart test test-fast lint format install install-dev clean help

help:
	@echo "make quickstart   install, train a tiny model with GRPO, show the result"
	@echo "make test         install what tests need, lint, run every test once"
	@echo "make test-fast    the tests that take seconds"
	@echo "make lint         ruff and mypy;   make format   ruff format"

quickstart: install
	$(BIN)/grpo-kit train quickstart/addition

test: install-dev lint
	$(BIN)/python -m pytest

test-fast: install-dev
	$(BIN)/python -m pytest -m "not slow"

install: $(BIN)/.installed
install-dev: $(BIN)/.installed-dev

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "grpo-kit needs Python 3.11 or newer; found $$($(PYTHON) --version). Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)

# torch first and pinned: a looser range makes some indexes send gigabytes of CUDA packages.
$(BIN)/.installed: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) torch
	$(PIP) -e .
	@touch $@

$(BIN)/.installed-dev: $(BIN)/.installed
	$(PIP) -e ".[dev]"
	@touch $@

# mypy does not follow setuptools' package map, so it is shown the same tree as links.
lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@rm -rf .mypy_tree && mkdir -p .mypy_tree/grpo_kit && \
	  ln -s $(CURDIR)/grpo_kit/* $(CURDIR)/verifiers $(CURDIR)/sandbox $(CURDIR)/recipes .mypy_tree/grpo_kit/
	cd .mypy_tree && $(abspath $(BIN))/mypy --config-file ../pyproject.toml --cache-dir ../.mypy_cache -p grpo_kit

format: install-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_tree
