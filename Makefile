# make figures | make test | make bench : each makes .venv and installs what it needs when there is none.
# PYTHON= picks the interpreter (3.11 or later); ARGS= goes to the command, e.g. make figures ARGS="--list".

PYTHON ?= python3
VENV ?= .venv
TESTS := tests/unit tests/analysis tests/papers tests/peers
# the tests that reach compiled kernels, run once more with checked array bounds
KERNEL_TESTS := $(foreach name,numerics/test_kernels numerics/test_random numerics/test_products measurement/test_paths \
	measurement/test_dynamics measurement/test_schedules measurement/test_free_energy processes/test_langevin \
	circuits/test_nonlinear primitives/test_logdet primitives/test_inv primitives/test_inv_float32,tests/unit/$(name).py)
BIN := $(VENV)/bin
ONE_THREAD := OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: figures test test-first test-second lint bench clean

figures: $(VENV)/.repro
	$(BIN)/python -m figures $(ARGS)

# two halves side by side, one core each; what the second has to say comes when it is done
test: lint
	$(MAKE) --no-print-directory -j2 test-first test-second

test-first: $(VENV)/.test
	$(ONE_THREAD) $(BIN)/python -m pytest -q --doctest-modules --doctest-glob='README.md' --ignore=thermolinalg/adapters README.md thermolinalg analysis $(TESTS)

# the interpreted code with its coverage, compiled code with checked array bounds, and the statistical tests
test-second: $(VENV)/.test
	{ $(ONE_THREAD) NUMBA_DISABLE_JIT=1 $(BIN)/python -m coverage run -m pytest -q tests/unit \
		&& $(BIN)/python -m coverage report --fail-under=95 \
		&& $(ONE_THREAD) NUMBA_BOUNDSCHECK=1 $(BIN)/python -m pytest -q $(KERNEL_TESTS) \
		&& $(ONE_THREAD) $(BIN)/python -m pytest -q tests/statistical; } > .test-second.log 2>&1 \
		&& grep -E 'passed|^TOTAL' .test-second.log || { cat .test-second.log; exit 1; }

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# FULL=1 adds what takes long; with '.[peers]' installed there are rows of thermox; a run of a few cells
# (ARGS="-k solve") replaces their rows in the README and leaves the others
bench: $(VENV)/.test
	mkdir -p .benchmarks
	$(BIN)/python -m pytest -q tests/benchmarks --benchmark-enable --benchmark-only --benchmark-group-by=group \
		--benchmark-columns=min,median,iqr,rounds --benchmark-sort=mean \
		--benchmark-json=.benchmarks/$$(date +%Y%m%dT%H%M%S).json $(ARGS)
	$(BIN)/python -m tests.benchmarks.report

# $(VENV)/.repro and $(VENV)/.test: the environment with that extra of setup.cfg installed
$(VENV)/.%: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	touch $@

.PRECIOUS: $(VENV)/.%

clean:
	rm -rf $(VENV) build *.egg-info .benchmarks .coverage .test-second.log .pytest_cache .mypy_cache .ruff_cache
