# Each enough alone on a fresh machine with Python 3.11: make run, make test, make test-extras.
PYTHON ?= python3.11
BIN := .venv/bin
# make run EXTRAS=openvino,ray installs the optional packages of requirements-openvino.txt and requirements-ray.txt too.
EXTRAS ?=
comma := ,
COMPILED := $(if $(findstring compile,$(EXTRAS)),$(comma)compile-fp32$(comma)compile-bf16)
ARGS ?= --variants all$(COMPILED)
EXTRA_FILES := $(foreach extra,$(subst $(comma), ,$(EXTRAS)),requirements-$(extra).txt)
# onnxruntime 1.32 reports on its use by default.
export ORT_DISABLE_TELEMETRY := 1

PYTEST := $(BIN)/python -m pytest --durations=10
# The long parts first: two run side by side, on two cores.
PARTS := unit-rest unit-faults unit-pipeline unit-models unit-reports type lint
# What the gate runs among them: make test WITH=wheel.
WITH ?=
SIDE_BY_SIDE := GOMP_SPINCOUNT=0 $(MAKE) --no-print-directory --keep-going --jobs=2 --output-sync=target

# The tests read and write UTF-8, whatever their user's locale.
export LC_ALL := C.UTF-8

.PHONY: run test test-extras test-full extras-models extras-rest unit bench clean wheel $(PARTS)

run: .venv/.run-ready $(if $(EXTRAS),.venv/.with-$(EXTRAS))
	@status=0; $(BIN)/python run.py $(ARGS) || status=$$?; \
	$(BIN)/python -c "import sys; from isobatch.pipeline.records.errors import MEANING, Exit; code = int(sys.argv[1]); \
	print(f'run.py ended with {code}: {MEANING.get(code, \"unknown\")}')" $$status; \
	case $$status in 0|1|3) exit 0;; *) exit $$status;; esac

# Without spinning, a thread that waits leaves its core to the other part.
test: .venv/.test-ready
	+@$(SIDE_BY_SIDE) $(PARTS) $(WITH)

# The tests of optional packages, which take a gigabyte more; an environment that has them passes `make test` too.
test-extras: .venv/.extras-ready
	+@$(SIDE_BY_SIDE) extras-rest extras-models

extras-models: .venv/.extras-ready
	$(PYTEST) --extras tests/models

extras-rest: .venv/.extras-ready
	$(PYTEST) --extras tests --ignore=tests/models

test-full: test
	$(BIN)/python -m pytest tests/campaigns --full --durations=0
	$(BIN)/python run.py selftest --trials 1000

lint: .venv/.test-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: .venv/.test-ready
	$(BIN)/mypy --strict -p isobatch -p benchmarks -m run

unit: .venv/.test-ready
	$(PYTEST)

unit-models: .venv/.test-ready
	$(PYTEST) tests/models

unit-pipeline: .venv/.test-ready
	$(PYTEST) tests/pipeline

unit-reports: .venv/.test-ready
	$(PYTEST) tests/reports tests/browser

unit-faults: .venv/.test-ready
	$(PYTEST) tests/test_faults.py tests/campaigns

unit-rest: .venv/.test-ready
	$(PYTEST) tests $(foreach part,models pipeline reports browser campaigns test_faults.py,--ignore=tests/$(part))

wheel: .venv/.test-ready
	.ci/wheel

bench: .venv/.test-ready
	$(BIN)/python -m benchmarks.study

# An environment is made once; it is made again only when the pinned versions change. --no-compile: of its thousands of
# modules only those that are imported need compiling, and importing does that.
.venv/.run-ready: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.txt
	touch $@

.venv/.test-ready: requirements.txt requirements-test.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements-test.txt
	touch .venv/.run-ready $@

# Compiled, unlike the others: Ray starts processes by the dozen.
.venv/.extras-ready: requirements.txt requirements-test.txt requirements-ray.txt requirements-openvino.txt requirements-timm.txt requirements-extras.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-extras.txt
	touch .venv/.run-ready .venv/.test-ready $@

# The optional packages that EXTRAS names, beside those of requirements.txt, whose versions they leave alone.
.venv/.with-$(EXTRAS): .venv/.run-ready $(EXTRA_FILES)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.txt \
	  $(foreach file,$(EXTRA_FILES),-r $(file))
	touch $@

clean:
	rm -rf .venv out .mypy_cache .ruff_cache
