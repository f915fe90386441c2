# make run        sets up everything and starts the product on http://127.0.0.1:5000
# make test       the test suite
# make test-all   the suite with what takes longer, and a model that runs in the server itself
# make check      formatting, types, import rules, installed versions
# make lock       writes requirements.txt anew from requirements.in

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# on Linux, the address of the index with torch for processors; pytorch.org names it
TORCH_INDEX ?=

.PHONY: run install test test-all check format lock clean

run: install
	@exec $(BIN)/python app.py

install: .venv/installed

# every version is pinned, so nothing needs to be resolved
.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing into .venv (about a minute) · 正在安装依赖（约一分钟）"
	@$(PIP) install --no-deps -r requirements.txt
	@touch $@

# a Node for the tests with real front ends, where the system has none that is new enough; without it they are skipped
.venv/node: .venv/installed requirements-clients.txt
	@{ npm --version >/dev/null 2>&1 && node -e 'process.exit(process.versions.node.split(".")[0] < 22)' 2>/dev/null || \
	  $(PIP) install --no-deps -r requirements-clients.txt; } \
	  && touch $@ || echo "No Node.js: the tests with real front ends are skipped · 没有 Node.js：跳过真实前端的测试"

# what runs a model of a folder, for the tests of it; without it they are skipped. A torch that does not load must not stay:
# pip may have found the one for graphics cards, which needs more
.venv/local: .venv/installed requirements-local.txt
	@echo "Installing torch and transformers (200 MB) · 正在安装 torch 和 transformers（200 MB）"
	@{ $(PIP) install --no-deps --retries 1 $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$$(grep ^torch== requirements-local.txt)" \
	  && $(PIP) install --no-deps -r requirements-local.txt && $(BIN)/python -c 'import torch, transformers'; } && touch $@ \
	  || { $(PIP) uninstall --yes torch; echo "No torch: the tests of local models are skipped · 没有 torch：跳过本地模型的测试"; }

test: install .venv/node
	$(BIN)/pytest -m "not slow"

test-all: install .venv/node .venv/local
	$(BIN)/pytest --hypothesis-profile=search

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
