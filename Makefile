# `make demo`, `make test` and `make docs`, in virtual environments of their own making.
PYTHON ?= python3
VENV ?= .venv
DOCS_VENV ?= .venv-docs
BIN = $(VENV)/bin

.PHONY: demo test quick lint docs clean

demo: $(VENV)/demo
	$(BIN)/scoresde demo --workdir=runs/demo

test: $(VENV)/test
	$(BIN)/pytest -n 2

# A part of every room, in at most two minutes on two cores.
quick: $(VENV)/test
	$(BIN)/pytest -n 2 -m quick

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Reads the code without importing it, so that nothing else is installed; a warning is an error.
docs: $(DOCS_VENV)/docs
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --strict
	@echo build/site/index.html

$(VENV)/demo: setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/test: $(VENV)/demo
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

$(DOCS_VENV)/docs: docs/requirements.txt
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/pip install --quiet --requirement docs/requirements.txt
	touch $@

clean:
	rm -rf $(VENV) $(DOCS_VENV) build *.egg-info
