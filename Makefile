# `make` alone lists what one can do. Nothing is needed but make and Python 3.11 or later.
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install install-dev run test lint bench requirements

help:  ## list what one can do
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

install: $(VENV)/installed  ## make .venv with everything the product runs on, Whisper weights included

run: install  ## set up, start everything, print a sign-in link (obeys PORT, HOST, DATA_DIR)
	@exec $(BIN)/python manage.py serve

test: install-dev  ## set up what the tests need, run them all
	@exec $(BIN)/python -m pytest -n 2 $(PYTEST)

lint: install-dev  ## ruff and mypy, strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .

bench: install-dev  ## list the measurements one can repeat
	@grep -HE -m1 '^"""' bench/*.py | sed -E 's/:"""/\t/'
