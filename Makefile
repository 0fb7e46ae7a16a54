# Every target sets up .venv by itself, from CPython 3.11 or newer and pip alone. For another Python
# beside it, and other packages: make test-fast PYTHON=python3.13 VENV=.venv-3.13 WITH=numpy~=2.4.0

PYTHON ?= python3
VENV := .venv
WITH :=
$(if $(filter-out .venv%,$(VENV)),$(error VENV must begin with .venv, which git ignores, got $(VENV)))
CHAPTERS ?= chapters/*.ipynb
PIP := $(VENV)/bin/pip install --quiet --disable-pip-version-check
# Two workers with one BLAS thread each: more of either would only take turns.
TEST := OPENBLAS_NUM_THREADS=1 $(VENV)/bin/python -m pytest -q -n 2

.PHONY: demo test test-fast test-all lint bench results chapters course clean

demo: $(VENV)/installed  ## train on real digits, end with a picture
	$(VENV)/bin/minigan train mlp --data mnist-mini --epochs 60 --out runs/demo-$$(date +%Y%m%d-%H%M%S)

test-fast: $(VENV)/dev  ## about a minute
	MINIGAN_TIER=fast $(TEST) -m "not slow"

test: $(VENV)/oracle lint  ## what every commit must pass
	$(TEST)

test-all: $(VENV)/oracle lint  ## with full counts
	MINIGAN_TIER=all $(TEST)

lint: $(VENV)/dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

results: $(VENV)/installed  ## the README's results: hours, and again from where it was stopped
	$(VENV)/bin/python -m tools.readme_results chapters/results README.md

bench: $(VENV)/oracle  ## this machine's tables
	$(VENV)/bin/python -m tools.benchmark

chapters: $(VENV)/dev  ## execute CHAPTERS in full and write their outputs into them
	OPENBLAS_NUM_THREADS=2 $(VENV)/bin/python tests/chapters/notebook.py $(CHAPTERS)

course:  ## a copy of the last commit without the exercises' solutions
	mkdir -p dist
	git archive --prefix=minigan/ -o dist/minigan-course.zip HEAD . \
		':(exclude)exercises/*/solution.py' ':(exclude)tests/exercises' ':(exclude)tests/equivalent.py'

# Half an environment, which Debian leaves without python3-venv, would pass for a whole one.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "minigan needs Python 3.11 or newer; run: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# Each stamp file says which set of packages .venv holds; pyproject.toml decides when it is stale.
$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	$(PIP) -e . $(WITH)
	@touch $@

$(VENV)/dev: $(VENV)/installed
	$(PIP) -e '.[dev]' $(WITH)
	@touch $@

$(VENV)/oracle: $(VENV)/dev
	$(PIP) -e '.[dev,oracle]' $(WITH)
	@touch $@

clean:
	rm -rf .venv* build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
