# make run        sets up everything and starts the product on http://127.0.0.1:5000
# make test       the test suite
# make test-all   the suite with what takes longer
# make check      formatting, types, import rules, installed versions
# make lock       writes requirements.txt anew from requirements.in

PYTHON ?= python3
BIN := .venv/bin

.PHONY: run install test test-all check format lock clean

run: install
	@exec $(BIN)/python app.py

install: .venv/installed

# every version is pinned, so nothing needs to be resolved
.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing into .venv (about a minute) · 正在安装依赖（约一分钟）"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.txt
	@touch $@

# a Node for the tests with real front ends, where the system has none that is new enough; without it they are skipped
.venv/node: .venv/installed requirements-clients.txt
	@{ npm --version >/dev/null 2>&1 && node -e 'process.exit(process.versions.node.split(".")[0] < 22)' 2>/dev/null || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-clients.txt; } \
	  && touch $@ || echo "No Node.js: the tests with real front ends are skipped · 没有 Node.js：跳过真实前端的测试"

test: install .venv/node
	$(BIN)/pytest -m "not slow"

test-all: install .venv/node
	$(BIN)/pytest

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pip check

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: install
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url --no-emit-find-links -o requirements.txt requirements.in

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache tests/clients/node_modules
