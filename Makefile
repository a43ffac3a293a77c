# Two commands matter: `make run` and `make test`. Both set up what they need first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run setup test test-long vault lint bench lock clean

run: $(VENV)/.run ## Set up and start Muster
	$(BIN)/muster serve

setup: $(VENV)/.test ## Everything for development

test: $(VENV)/.test ## Lint, types and all tests but the long ones
	$(BIN)/ruff format --check src tests bench scripts
	$(BIN)/ruff check src tests bench scripts
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n auto --dist loadgroup -m "not long" tests

test-long: $(VENV)/.test ## The long tests: kill -9 by the hundred, requests and certificates by the ten thousand
	$(BIN)/python -m pytest -q -n auto --dist loadgroup --durations 0 --durations-min 1 -m long tests

vault: $(VENV)/.test ## A real Vault for the tests, built from source; needs Go and some minutes
	$(BIN)/python scripts/obtain_vault.py

lint: $(VENV)/.test
	$(BIN)/ruff format src tests bench scripts
	$(BIN)/ruff check --fix src tests bench scripts
	$(BIN)/mypy

bench: $(VENV)/.test ## Measure; writes bench/RESULTS.md
	$(BIN)/python -m bench

$(BIN)/uv: requirements/tools.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Muster needs Python 3.11 or newer: make PYTHON=python3.x run")'
	$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/tools.txt
	touch $(BIN)/uv

$(VENV)/.run: $(BIN)/uv requirements/run.txt pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/run.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

$(VENV)/.test: $(VENV)/.run requirements/test.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/test.txt
	touch $@

lock: $(BIN)/uv ## Renew the locks: hashes, no index addresses
	$(BIN)/uv pip compile pyproject.toml --upgrade --generate-hashes --no-header --quiet --python-version 3.11 -o requirements/run.txt
	$(BIN)/uv pip compile pyproject.toml --group test --upgrade --generate-hashes --no-header --quiet --python-version 3.11 -o requirements/test.txt
	$(BIN)/uv pip compile requirements/tools.in --upgrade --generate-hashes --no-header --quiet -o requirements/tools.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache
