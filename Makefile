# `make` lists what can be made. Everything runs in .venv, which is made when it is needed.

PYTHON ?= python3
VENV = .venv
# What is installed: this folder, editable. CI says PACKAGE=dist/….whl, to test what users get.
PACKAGE = --editable=.
# What `make test` runs, where not everything: make test TESTS=tests/unit/worker
TESTS =
# What `make coverage` tells `coverage report`.
REPORT = --show-missing
# Where `make docs` puts the site.
SITE = site
# What `make demo` identifies. Passed on through the environment, so that any path will do.
DIR =
export GC_WARM_DEMO_DIR := $(value DIR)
# Where Python may not keep what it compiles, each of a thousand processes compiles all it imports.
unexport PYTHONDONTWRITEBYTECODE

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
PROJECT := pyproject.toml constraints.txt
DEMO := $(VENV)/.has-demo
TEST := $(VENV)/.has-test
DEV := $(VENV)/.has-dev
DOCS := $(VENV)/.has-docs

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow coverage bench cases lint docs constraints clean

help:  ## List what can be made.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(DEMO)  ## Identify every file of a folder with a warm model: make demo DIR=/some/path
	@$(BIN)/gc-warm demo $${GC_WARM_DEMO_DIR:+"$$GC_WARM_DEMO_DIR"}

# `pytest`, not `python -m pytest`: the latter would test this folder, not what is installed.
test: $(TEST)  ## Run all tests but the slow ones.
	@$(BIN)/pytest $(TESTS)

# Each file in one process: what its tests share, an engine or a cluster, starts once.
test-slow: $(TEST)  ## Run the slow tests, which take many minutes.
	@$(BIN)/pytest -m slow --dist=loadfile --no-loadscope-reorder $(TESTS)

# Before Python 3.12, where coverage.py traces, without those that interrupt it.
coverage: $(TEST)  ## Run all tests but the slow ones, and show which lines they miss.
	@$(BIN)/coverage erase
	@quick="not slow"; \
	$(BIN)/python -c 'import sys; sys.monitoring' 2>/dev/null || quick="$$quick and not untraced"; \
	$(BIN)/coverage run $(BIN)/pytest -m "$$quick" $(TESTS); tests=$$?; \
	$(BIN)/coverage combine --quiet; $(BIN)/coverage report $(REPORT); exit $$tests

bench: $(TEST)  ## Measure warm against cold, and our executor against others.
	@$(BIN)/python -m benchmarks

lint: $(DEV)  ## Check style, formatting and types.
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/pyright --pythonpath $(BIN)/python

cases: $(DEMO)  ## Measure real cases, cold and warm: the table in README.md.
	@$(BIN)/python -m benchmarks.cases

docs: $(DOCS)  ## Build the documentation: open site/index.html. Dead links fail.
	@# Not --quiet, which would let warnings pass.
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --site-dir '$(abspath $(SITE))'

constraints: | $(BIN)/python  ## Pin the newest releases of all dependencies, and of CI's tools.
	@$(PIP) install -qq --requirement .ci/tools.txt
	@$(COMPILE) --all-extras --no-annotate --output-file constraints.txt pyproject.toml
	@$(COMPILE) --generate-hashes --output-file .ci/tools.txt .ci/tools.in

clean:  ## Remove everything that make made, .venv included.
	rm -rf $(VENV) build dist site htmlcov .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache \
	    .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each extra holds the one before it, so a stamp stands for those as well.
$(DEMO): $(PROJECT) | $(BIN)/python
	@$(call install,demo)
	@touch $(DEMO)

$(TEST): $(PROJECT) | $(BIN)/python
	@$(call install,test)
	@touch $(DEMO) $(TEST)

$(DEV): $(PROJECT) | $(BIN)/python
	@$(call install,dev)
	@touch $(DEMO) $(TEST) $(DEV)

$(DOCS): $(PROJECT) | $(BIN)/python
	@$(call install,docs)
	@touch $(DOCS)

COMPILE = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.10 \
    --no-header --no-emit-index-url --no-emit-find-links

define install
echo "Installing gc-warm with its [$(1)] extra into $(VENV) ..." >&2; \
$(PIP) install -qq --constraint constraints.txt '$(PACKAGE)[$(1)]'
endef

define refuse
{ echo "gc-warm: $(1)" >&2; exit 1; }
endef

$(BIN)/python:
	@$(PYTHON) -c '' 2>/dev/null || \
	    $(call refuse,'$(PYTHON)' does not run; say which Python to use: make PYTHON=/path/to/python3)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    $(call refuse,Python 3.10 or newer is needed; say which one to use: make PYTHON=/path/to/python3)
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    $(call refuse,'$(PYTHON)' has no venv module; on Debian and Ubuntu: apt install python3-venv)
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
