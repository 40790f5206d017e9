# `make demo` and `make test` do their own set-up; a second call installs nothing.
.PHONY: demo test install lint

PYTHON ?= python3
BIN := .venv/bin

demo: install
	$(BIN)/lossbench run experiment=quickstart

test: install lint
	$(BIN)/python -m pytest -n 2

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

install: .venv/installed

# torch first and alone: its version in constraints.txt has a build without CUDA on some indexes.
.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@
