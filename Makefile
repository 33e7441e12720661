# `make` alone lists what one can do. Nothing is needed but make and Python 3.11 or later, with its venv module.
SHELL := /bin/bash
# The packages in requirements.txt are pinned by digest; these are the Pythons they have wheels for.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(firstword $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c '$(SUPPORTED)' 2>/dev/null && echo $$p; done) python3)
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes
PIP_COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host
PARALLEL := $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder
NPM_FLAGS := --ignore-scripts --no-audit --no-fund --omit-lockfile-registry-resolved
# The files of each npm package that the pages use.
VENDORED := wavesurfer.js/LICENSE wavesurfer.js/dist/wavesurfer.esm.js \
	tus-js-client/LICENSE tus-js-client/dist/tus.min.js tus-js-client/dist/tus.min.js.map \
	uplot/LICENSE uplot/dist/uPlot.esm.js uplot/dist/uPlot.min.css
# Modules among them whose types `make lint` reads: TypeScript looks for types beside a module, and finds them in the package.
TYPED := wavesurfer.js/dist/wavesurfer.esm uplot/dist/uPlot.esm

# What the embedded engine needs of CUDA, where NVIDIA's driver shows a GPU. Only `install` asks: an idle GPU takes seconds.
CUDA = $(if $(shell nvidia-smi -L >/dev/null 2>&1 && echo yes),$(VENV)/installed-cuda)

.DEFAULT_GOAL := help
.SECONDEXPANSION:
.DELETE_ON_ERROR:
.PHONY: help install install-dev run test test-unit test-integration test-acceptance test-fast lint docs hooks audit sbom bench requirements

help:  ## list what one can do
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

install: $(VENV)/collected $(VENV)/weights $$(CUDA)  ## make .venv with everything the product runs on, Whisper weights included

install-dev: $(VENV)/installed-dev $(VENV)/speech  ## install what tests, lint and bench need besides

run: install  ## set up, start everything, print a sign-in link (obeys PORT, HOST, DATA_DIR)
	@exec $(BIN)/python manage.py serve

test: install install-dev  ## set up what the tests need, run them all (PYTEST='-k gate' runs some)
	@exec $(PARALLEL) -n 4 $(PYTEST)

test-unit:  ## run the tests that use memory and files only
test-integration:  ## run those that use the database, sockets, decoder processes or the embedded engine
test-acceptance:  ## run those that start browsers, the product, servers and commands
test-unit test-integration test-acceptance: install install-dev
	@exec $(PARALLEL) -n 4 -m $(@:test-%=%) $(PYTEST)

test-fast: install $(VENV)/installed-dev  ## run the unit tests that need Python alone, in a minute: no root, no browser
	@exec $(PARALLEL) -n 2 -m 'unit and not (debian or slow)' $(PYTEST)

lint: $(VENV)/installed-dev $(VENV)/installed-npm  ## ruff, mypy, eslint and tsc (strict), and the layers: who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports --no-cache --no-logo
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm run --silent lint

docs: $(VENV)/installed-docs $(VENV)/installed-npm  ## build docs/ as a site, into site/; a link that leads nowhere fails it
	@$(BIN)/python -m docs.generate
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

hooks: $(VENV)/installed-dev  ## look at each commit before it is made: ruff, the layers, the generated docs
	@$(BIN)/pre-commit install

audit: $(VENV)/installed-dev  ## what is known against the pinned packages; says so where nobody can be asked
	@$(BIN)/python .ci/audit.py

sbom: $(VENV)/installed-dev  ## a bill of materials (CycloneDX): sbom.json
	@$(BIN)/python .ci/sbom.py >sbom.json

bench: $(VENV)/installed-dev  ## list the measurements one can repeat
	@grep -HE -m1 '^"""' bench/*.py | sed -E 's/:"""/\t/; s/"""$$//'

requirements: $(VENV)/installed-dev  ## pin what requirements*.in and package.json name (PIN=--upgrade: anew)
	$(PIP_COMPILE) $(PIN) --output-file requirements.txt requirements.in
	$(PIP_COMPILE) $(PIN) --output-file requirements-cuda.txt requirements-cuda.in
	$(PIP_COMPILE) $(PIN) --output-file requirements-dev.txt requirements-dev.in
	$(PIP_COMPILE) $(PIN) --output-file requirements-docs.txt requirements-docs.in
	$(PIP_COMPILE) $(PIN) --output-file requirements-npm.txt requirements-npm.in
	npm install --package-lock-only $(NPM_FLAGS)

# Each step leaves a stamp in .venv, so that a second `make install` is instant.

$(VENV)/installed: requirements.txt
	@$(PYTHON) -c '$(SUPPORTED)' || { echo "Stile needs Python 3.11 to 3.14;" \
		"$(PYTHON) is $$($(PYTHON) --version 2>&1 || echo not there). Name another with make PYTHON=…" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { \
		echo "Python's venv module does not work here: on Debian, install python3-venv." >&2; exit 1; }
	@$(PIP_INSTALL) -r requirements.txt || { \
		echo "The packages could not be installed. If pip named no other reason: is there a network?" >&2; exit 1; }
	@touch $@

$(VENV)/installed-cuda: requirements-cuda.txt $(VENV)/installed
	@$(PIP_INSTALL) -r requirements-cuda.txt || { \
		echo "CUDA's libraries (0.6 GB) could not be installed. If pip named no other reason: is there a network?" >&2; exit 1; }
	@touch $@

$(VENV)/installed-dev: requirements-dev.txt $(VENV)/installed
	@$(PIP_INSTALL) -r requirements-dev.txt || { \
		echo "The packages could not be installed. If pip named no other reason: is there a network?" >&2; exit 1; }
	@touch $@

$(VENV)/installed-docs: requirements-docs.txt $(VENV)/installed-dev
	@$(PIP_INSTALL) -r requirements-docs.txt || { \
		echo "The packages could not be installed. If pip named no other reason: is there a network?" >&2; exit 1; }
	@touch $@

$(VENV)/vendored: package-lock.json requirements-npm.txt $(VENV)/installed
	@npm=$$(mktemp -d) && trap "rm -rf $$npm" EXIT && export PYTHONPATH= && \
	{ command -v npm >/dev/null || \
		{ $(PIP_INSTALL) --target $$npm -r requirements-npm.txt && export PYTHONPATH=$$npm PATH="$$npm/bin:$$PATH"; }; } && \
	cp package.json package-lock.json $$npm && npm ci --silent --omit=dev --prefix $$npm $(NPM_FLAGS) && \
	rm -rf static/vendor && mkdir -p static/vendor && \
	(cd $$npm/node_modules && cp --parents $(VENDORED) $(CURDIR)/static/vendor) && \
	for module in $(TYPED); do echo "export { default } from \"$${module%%/*}\";" >static/vendor/$$module.d.ts; done || { \
		echo "The pages' JavaScript could not be installed from npm: is there a network?" >&2; exit 1; }
	@touch $@

# The linters run on the pinned Node: the machine's may be too old for them.
$(VENV)/installed-npm: $(VENV)/vendored
	@$(PIP_INSTALL) -r requirements-npm.txt && \
	PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --silent $(NPM_FLAGS) || { \
		echo "The linters could not be installed from npm: is there a network?" >&2; exit 1; }
	@touch $@

$(VENV)/collected: $(VENV)/vendored $(shell find static -type f -not -path 'static/vendor/*' 2>/dev/null)
	@# htmx's extensions, which no page uses, import names that only a bundler knows.
	@$(BIN)/python manage.py collectstatic --no-input --clear --verbosity 0 --ignore 'django_htmx/ext/*' --ignore '*.d.ts'
	@touch $@

$(VENV)/weights: $(VENV)/installed
	@$(BIN)/python manage.py fetch_weights
	@touch $@

$(VENV)/speech: $(VENV)/installed-dev tests/system.sh tests/support/speech.py
	@tests/system.sh
	@$(BIN)/python -m tests.support.speech >/dev/null
	@touch $@
