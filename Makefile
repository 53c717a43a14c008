# Everything sets itself up: each target that needs the environment makes it first, with $(PYTHON).
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
COLAB_PYTHON ?= python3.13
COLAB := .venv-colab/bin/python
# every room that has parts which need no torch; tests in them that do need it are skipped there
COLAB_TESTS := tests/base tests/data tests/notebooks tests/run tests/views
REPO ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test params badges lint notebooks browser test-gpu test-colab

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make the environment in .venv (PYTHON=python3.12 for another Python)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v >= (3, 11) else "wanted Python 3.11 or later, got %d.%d; name another with PYTHON=python3.12" % v)'
	@echo "Making .venv; the packages are about 2 GB, more where torch comes with CUDA"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY) ## Train, be killed, resume and speak, in about four minutes
	$(BIN)/nbkit demo

test: $(READY) chromium ## Run all tests that this machine can run
	$(BIN)/python -m pytest

params: $(READY) ## Write the generated cells and links of the notebooks anew, strip their outputs
	$(BIN)/nbkit notebooks

badges: $(READY) ## Publish under another address: make badges REPO=owner/name
	@test -n "$(REPO)" || { echo "wanted the address: make badges REPO=owner/name"; exit 2; }
	$(BIN)/nbkit notebooks --repository "$(REPO)"

lint: $(READY) ## Check style, types and generated cells
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/nbkit notebooks --check

notebooks: $(READY) ## Run every notebook with the smoke preset
	$(BIN)/python -m pytest -m notebook tests/notebooks

browser: $(READY) chromium ## Look at notebooks and pages in Chromium
	$(BIN)/python -m pytest -m browser

test-gpu: $(READY) ## Run the tests that need a GPU; none may be skipped
	NBKIT_REQUIRE_GPU=1 $(BIN)/python -m pytest -m gpu

test-colab: .venv-colab/.ready ## Run what needs no torch with Colab's Python and packages (COLAB_PYTHON=python3.13)
	NBKIT_WITHOUT_TORCH=1 $(COLAB) -m pytest -rs -m "not network and not browser and not slow" $(COLAB_TESTS)

.venv-colab/.ready: pyproject.toml requirements-colab.txt tests/colab_freeze.txt
	@$(COLAB_PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v == (3, 13) else "wanted the Python 3.13 of Colab, got %d.%d; name one with COLAB_PYTHON=" % v)'
	$(COLAB_PYTHON) -m venv .venv-colab
	@# all that is asked for but torch and what needs it, at Colab's versions; pytest and its plug-ins are our own
	$(COLAB) -c 'import re, tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; print(*[x for x in p["dependencies"] + p["optional-dependencies"]["dev"] if re.match(r"[\w-]+", x)[0] not in ("torch", "accelerate", "jupyterlab", "nbval", "pre-commit", "pre-commit-hooks", "pyright", "playwright")], sep="\n")' > .venv-colab/wanted.txt
	grep -v '^pytest' tests/colab_freeze.txt > .venv-colab/held.txt
	$(COLAB) -m pip install -q --disable-pip-version-check -c .venv-colab/held.txt -r .venv-colab/wanted.txt
	$(COLAB) -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

# a browser for the tests, where the machine lets us install one; without it they say why they skip
.PHONY: chromium
chromium:
	@bash tests/browser/install_chromium.sh
