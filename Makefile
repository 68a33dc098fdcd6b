# The two commands of a newcomer are `make demo` and `make test`; both set up .venv/ first.

PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
READY := .venv/.installed

.PHONY: demo test check lint verify benchmark clean

demo: $(READY)
	$(BIN)/grader demo --out out

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

verify: $(READY)
	$(BIN)/grader verify --html out/verify.html --json out/verify.json

check: lint verify
	$(BIN)/grader template check
	$(BIN)/grader fixtures check
	$(BIN)/grader mistakes check
	$(BIN)/python -m pytest

benchmark: $(READY)
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only

clean:
	rm -rf .venv out dist

$(READY): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $(READY)
