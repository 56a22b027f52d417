# Two commands for everyone: `make exportcheck` runs the main job, `make test` the tests. Both set up what they need:
# a virtual environment with the newest torch that pip resolves. Only Python 3.10 or later and make are required.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The runtimes of the extras, in an environment that sees the packages of $(VENV): torch is installed once.
RUNTIMES := $(VENV)-runtimes
WORKERS ?= 2
# The module of `make mutants-some`.
MUTATED ?= pytest_exportcheck.run.verdicts

.DEFAULT_GOAL := help
.PHONY: help exportcheck test test-quick test-slow test-runtimes test-runtimes-slow runtime-table nightly examples faults sound coverage mutants mutants-some lint docs dist \
	bench clean

help:
	@echo "make exportcheck   check the corpus in cases/ and two torchvision models"
	@echo "make test          run the tests of the plugin"
	@echo "make test-quick    run the unit tests and the tests on a cheap engine: a few minutes"
	@echo "make test-slow     run the slow tests, which make test leaves out"
	@echo "make test-runtimes run the tests of what runs on ONNX Runtime, ExecuTorch, OpenVINO and AOTInductor"
	@echo "make runtime-table put twenty models through every runtime, and print the table of docs/runtimes.md (hours)"
	@echo "make nightly       run slow tests, all sound models, all faults, the examples, some mutants; build the docs: hours"
	@echo "make examples      check the models of the example repo in examples/shop"
	@echo "make faults        inject every fault of the fault library and print who finds it"
	@echo "make sound         run all sound models, slow ones too: no false alarm"
	@echo "make lint          ruff, mypy --strict, import-linter"
	@echo "make docs          build the site of the docs into site/"
	@echo "make coverage      run the quick tests, and fail if they cover too few lines"
	@echo "make mutants       change the code in small ways, and print which changes no test notices (hours)"
	@echo "make mutants-some  the same for one module"
	@echo "make dist          build the sdist and the wheel into dist/, and check what they hold"
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
	$(BIN)/python -m pytest tests -m "not slow and not runtime" -n $(WORKERS)

test-quick: $(READY)
	$(BIN)/python -m pytest tests/unit tests/integration -m quick -n $(WORKERS)

test-slow: $(READY)
	$(BIN)/python -m pytest tests -m "slow and not runtime" -n $(WORKERS)

$(RUNTIMES)/.ready: $(READY)
	$(BIN)/python -m venv $(RUNTIMES)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$($(RUNTIMES)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth"
	$(RUNTIMES)/bin/python -m pip install --quiet --editable '.[onnx,executorch,openvino]'
	@touch $@

test-runtimes: $(RUNTIMES)/.ready
	$(RUNTIMES)/bin/python -m pytest tests -m "runtime and not slow" -n $(WORKERS)

test-runtimes-slow: $(RUNTIMES)/.ready
	$(RUNTIMES)/bin/python -m pytest tests -m "runtime and slow" -n $(WORKERS)

runtime-table: $(RUNTIMES)/.ready
	$(RUNTIMES)/bin/python -m benchmarks.runtime_table

nightly: test-slow test-runtimes test-runtimes-slow sound faults examples docs mutants-some

examples: $(READY)
	cd examples/shop && $(abspath $(BIN))/python -m pytest --exportcheck -p no:cacheprovider

faults: $(READY)
	$(BIN)/python -m tests.faults

sound: $(READY)
	EXPORTCHECK_SOUND=1 $(BIN)/python -m pytest tests/test_no_false_alarm.py -n $(WORKERS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	$(BIN)/mkdocs build --strict

coverage: $(READY)
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest tests/unit tests/integration -m quick -n $(WORKERS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

mutants: $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[mutants]'
	$(BIN)/mutmut run --max-children $(WORKERS)
	$(BIN)/mutmut results

mutants-some: $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[mutants]'
	$(BIN)/mutmut run --max-children $(WORKERS) '$(MUTATED).*'
	$(BIN)/mutmut results

dist: $(READY)
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python scripts/check_dist.py dist

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
	rm -rf $(VENV) $(RUNTIMES) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build dist site mutants .coverage .coverage.*
