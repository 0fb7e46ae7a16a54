# Every target sets up .venv by itself, from CPython 3.11 or newer and pip alone.

PYTHON ?= python3
CHAPTERS ?= chapters/*.ipynb
PIP := .venv/bin/pip install --quiet --disable-pip-version-check
# Two workers with one BLAS thread each: more of either would only take turns.
TEST := OPENBLAS_NUM_THREADS=1 .venv/bin/python -m pytest -q -n 2

.PHONY: demo test test-fast test-all lint bench results chapters course clean

demo: .venv/installed  ## train on real digits, end with a picture
	.venv/bin/minigan train mlp --data mnist-mini --epochs 60 --out runs/demo-$$(date +%Y%m%d-%H%M%S)

test-fast: .venv/dev  ## about a minute
	MINIGAN_TIER=fast $(TEST) -m "not slow"

test: .venv/oracle lint  ## what every commit must pass
	$(TEST)

test-all: .venv/oracle lint  ## with full counts
	MINIGAN_TIER=all $(TEST)

lint: .venv/dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

results: .venv/installed  ## the README's results: hours, and again from where it was stopped
	.venv/bin/python -m minigan.results chapters/results README.md

bench: .venv/oracle  ## this machine's table
	.venv/bin/minigan bench

chapters: .venv/dev  ## execute CHAPTERS in full and write their outputs into them
	OPENBLAS_NUM_THREADS=2 .venv/bin/python tests/chapters/notebook.py $(CHAPTERS)

course:  ## a copy of the last commit without the exercises' solutions
	mkdir -p dist
	git archive --prefix=minigan/ -o dist/minigan-course.zip HEAD . \
		':(exclude)exercises/*/solution.py' ':(exclude)tests/exercises' ':(exclude)tests/equivalent.py'

# Half an environment, which Debian leaves without python3-venv, would pass for a whole one.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "minigan needs Python 3.11 or newer; run: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

# Each stamp file says which set of packages .venv holds; pyproject.toml decides when it is stale.
.venv/installed: .venv/bin/python pyproject.toml
	$(PIP) -e .
	@touch $@

.venv/dev: .venv/installed
	$(PIP) -e '.[dev]'
	@touch $@

.venv/oracle: .venv/dev
	$(PIP) -e '.[dev,oracle]'
	@touch $@

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
