# Two commands for everyone: `make exportcheck` runs the main job, `make test` the tests. Both set up what they need:
# a virtual environment with the newest torch that pip resolves. Only Python 3.10 or later and make are required.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help exportcheck test faults sound lint bench clean

help:
	@echo "make exportcheck   check the corpus in cases/ and two torchvision models"
	@echo "make test          run the tests of the plugin"
	@echo "make faults        inject every fault of the fault library and print who finds it"
	@echo "make sound         run all sound models, slow ones too: no false alarm"
	@echo "make lint          ruff, mypy --strict, import-linter"
	@echo "make bench         measure what the performance claims rest on"

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "pytest-exportcheck needs Python 3.10 or later; call: make PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev,zoo]'
	@touch $@

exportcheck: $(READY)
	$(BIN)/python -m pytest --exportcheck --exportcheck-fuzz=25 cases -n $(WORKERS) \
		--exportcheck-source torchvision:resnet18 --exportcheck-source torchvision:mobilenet_v3_small

test: $(READY)
	$(BIN)/python -m pytest tests -n $(WORKERS)

faults: $(READY)
	$(BIN)/python -m tests.faults

sound: $(READY)
	EXPORTCHECK_SOUND=1 $(BIN)/python -m pytest tests/test_no_false_alarm.py -n $(WORKERS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.check_cost
	$(BIN)/python -m benchmarks.sharing
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.fuzz_cost
	$(BIN)/python -m benchmarks.serde_cost
	$(BIN)/python -m tests.differential.populations
	$(BIN)/python -m benchmarks.export_cost

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build dist
