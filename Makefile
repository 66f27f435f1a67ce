# `make demo` and `make test`, each in a virtual environment of its own making.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test quick lint clean

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

$(VENV)/demo: setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/test: $(VENV)/demo
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
