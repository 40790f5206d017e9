# `make demo` and `make test` do their own set-up; a second call installs nothing.
.PHONY: demo test test-fast test-slow docs mutate install lint plugins

PYTHON ?= python3
BIN := .venv/bin
PLUGINS := .venv/plugins

demo: install
	$(BIN)/lossbench run experiment=quickstart

# A file's tests stay together, for what they share; the longest files begin first:
# tests/conftest.py names them. Each worker more costs ten seconds of imports.
RUN := -n 2 --dist loadfile --no-loadscope-reorder
# The heart: formulas, tasks, data, the stack, statistics, the registry.
FAST := $(wildcard $(addprefix tests/test_,losses*.py tasks*.py metric*.py datasets.py models.py \
  corruptions.py stack.py statistics*.py registry.py layers.py))

test test-fast test-slow: export OMP_NUM_THREADS = 1
test test-fast test-slow: export PYTHONDONTWRITEBYTECODE = # each process would compile lossbench again

# The types and the tests of the plugins are checked meanwhile, those in an environment of their own,
# and report at the end.
test: install plugins
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@{ $(BIN)/mypy && $(PLUGINS)/bin/python -m pytest -p no:cacheprovider plugins; } \
	  >$(PLUGINS)/report 2>&1 & others=$$!; \
	$(BIN)/python -m pytest $(RUN); status=$$?; \
	wait $$others || status=1; tail -40 $(PLUGINS)/report; exit $$status

test-fast: install
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n 2 --dist loadfile $(FAST) lossbench

# The site, in docs/_build/html; a warning or a link that leads nowhere fails.
docs: .venv/docs-installed
	$(BIN)/lossbench show --all docs/_build/extra/catalogue
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

.venv/docs-installed: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	touch $@

# What waits, starts servers, kills processes or trains every loss: before a release.
test-slow: install plugins
	$(BIN)/python -m pytest $(RUN) -m slow
	$(PLUGINS)/bin/python -m pytest -p no:cacheprovider -m slow plugins

# Which mistakes would the tests notice? Half an hour on two cores; no part of the tests.
mutate: install
	$(BIN)/python tests/mutate.py

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

# The packages below plugins/ in an environment of their own, over the packages of .venv.
plugins: install $(PLUGINS)/installed

$(PLUGINS)/installed: .venv/installed $(wildcard plugins/*/pyproject.toml)
	$(BIN)/python -m venv --without-pip $(PLUGINS)
	$(BIN)/python -c "import sysconfig as s; print('import site; site.addsitedir(%r)' % s.get_path('purelib'))" \
	  > $$($(PLUGINS)/bin/python -c "import sysconfig as s; print(s.get_path('purelib'))")/outer.pth
	$(BIN)/python -m pip --python $(PLUGINS)/bin/python install --quiet --disable-pip-version-check \
	  -c constraints.txt --no-build-isolation $(addprefix -e ,$(wildcard plugins/lossbench-*))
	touch $@
