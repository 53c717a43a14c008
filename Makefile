# Everything sets itself up: each target that needs the environment makes it first, with $(PYTHON).
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
COLAB_PYTHON ?= python3.13
COLAB := .venv-colab/bin/python
CLASSIC := .venv-classic/bin/python
CLASSIC_READY := .venv-classic/.ready
# the rooms that load no torch; single tests in them that do are marked
COLAB_TESTS := tests/base tests/data tests/evaluate tests/notebooks tests/run tests/views
# processes that share the tests; each needs up to 2 GB
AT_ONCE := -n logical --maxprocesses 4
REPO ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test params badges lint notebooks browser gallery test-gpu test-colab

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make the environment in .venv (PYTHON=python3.12 for another Python)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v >= (3, 11) else "wanted Python 3.11 or later, got %d.%d; name another with PYTHON=python3.12" % v)'
	@echo "Making .venv; the packages are about 2 GB, more where torch comes with CUDA"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY) ## Train, be killed, resume and speak, in about four minutes
	$(BIN)/nbkit demo

test: $(READY) $(CLASSIC_READY) chromium ## Run all tests that this machine can run
	$(BIN)/python -m pytest $(AT_ONCE)

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
	$(BIN)/python -m pytest $(AT_ONCE) -m notebook tests/notebooks

browser: $(READY) $(CLASSIC_READY) chromium ## Look at notebooks and pages in Chromium
	$(BIN)/python -m pytest -m browser

gallery: $(READY) ## Run the notebooks that outputs/gallery shows, in a few minutes
	$(BIN)/python -m nbkit.run.gallery

test-gpu: $(READY) ## Run the tests that need a GPU; none may be skipped
	NBKIT_REQUIRE_GPU=1 $(BIN)/python -m pytest -m gpu

test-colab: .venv-colab/.ready ## Run what needs no torch with Colab's Python and packages (COLAB_PYTHON=python3.13)
	@# warnings of Colab's versions are shown, not errors: nobody here can mend them
	$(COLAB) -m pytest -W default -m "not torch and not gpu and not notebook and not browser and not network" $(COLAB_TESTS)

.venv-colab/.ready: pyproject.toml constraints.txt tests/colab_freeze.txt tests/colab_environment.py
	@$(COLAB_PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v == (3, 13) else "wanted the Python 3.13 of Colab, got %d.%d; name one with COLAB_PYTHON=" % v)'
	@echo "Making .venv-colab; the packages are about 800 MB"
	$(COLAB_PYTHON) -m venv .venv-colab
	$(COLAB) tests/colab_environment.py .venv-colab
	$(COLAB) -m pip install -q --disable-pip-version-check -c .venv-colab/held.txt -r .venv-colab/wanted.txt
	$(COLAB) -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

# the notebook of Colab's packages, with ipywidgets 7: no torch, so it is made in half a minute
$(CLASSIC_READY): tests/browser/classic.txt tests/colab_freeze.txt
	@echo "Making .venv-classic; the packages take about 400 MB"
	$(PYTHON) -m venv --clear .venv-classic
	@grep -v '^widgetsnbextension==' tests/colab_freeze.txt > .venv-classic/held.txt
	$(CLASSIC) -m pip install -q --disable-pip-version-check -c .venv-classic/held.txt -r tests/browser/classic.txt
	@touch $@

# a browser for the tests, where the machine lets us install one; without it they say why they skip
.PHONY: chromium
chromium:
	@bash tests/browser/install_chromium.sh
