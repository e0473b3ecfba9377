# make figures | make test | make test-long | make bench : each makes .venv and installs what it needs when there is none.
# PYTHON= picks the interpreter (3.11 or later); ARGS= goes to the command, e.g. make figures ARGS="--list".

PYTHON ?= python3
VENV ?= .venv
# PyTorch for processors: the name without +cpu may bring gigabytes of CUDA. Where this wheel cannot be had, say where
# it is (TORCH="torch==2.13.0 --index-url ..."), or the tests of its door are skipped
TORCH ?= torch==2.13.0+cpu
# the tests that reach compiled kernels, run once more with checked array bounds
KERNEL_TESTS := $(foreach name,numerics/test_kernels numerics/test_random numerics/test_products measurement/test_paths \
	measurement/test_dynamics measurement/test_schedules measurement/test_free_energy processes/test_langevin \
	circuits/test_nonlinear primitives/test_logdet primitives/test_inv primitives/test_inv_float32,tests/unit/$(name).py)
# what neither reaches a kernel nor covers a line of the library in the process of the test
NOT_INTERPRETED := $(foreach name,benchmark_report crossings house lazy_import,--ignore=tests/unit/test_$(name).py)
BIN := $(VENV)/bin
ONE_THREAD := OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
PYTEST := $(ONE_THREAD) $(BIN)/python -m pytest -q
# Plain pytest runs everything in the files that it is given. What takes long is left out here, on the command line,
# and not in setup.cfg, so that a failing test can always be run by its name.
SHORT := -m "not long"
LONG := -m long
# keeps what a command says to itself until it is done: one line if all is well, all of it if not
aside = { $(1); } > .$@.log 2>&1 && grep -hE 'passed|^TOTAL' .$@.log || { cat .$@.log; exit 1; }

.PHONY: figures test test-first test-second test-long test-long-first test-long-second lint bench clean

figures: $(VENV)/.repro
	$(BIN)/python -m figures $(ARGS)

# two halves side by side, one core each; what the second has to say comes when it is done
test: lint
	$(MAKE) --no-print-directory -j2 test-first test-second

# every example in the documentation, and every file of the library by itself
test-first: $(VENV)/.test
	$(PYTEST) $(SHORT) --doctest-modules --doctest-glob='README.md' --ignore=thermolinalg/adapters \
		README.md thermolinalg analysis tests/unit tests/peers

# one row of the statistical table for each estimator and field, sweeps, figures and verdicts of every paper at smoke scale
test-second: $(VENV)/.test
	$(call aside,$(PYTEST) $(SHORT) tests/statistical tests/analysis tests/papers)

test-long: $(VENV)/.long
	$(MAKE) --no-print-directory -j2 test-long-first test-long-second

# all that is marked long: the whole statistical tables, PyTorch, thermox where it is installed
test-long-first: $(VENV)/.long
	$(PYTEST) $(LONG)

# the interpreted code with its coverage, and compiled code with checked array bounds
test-long-second: $(VENV)/.long
	$(call aside,$(ONE_THREAD) NUMBA_DISABLE_JIT=1 $(BIN)/python -m coverage run -m pytest -q $(SHORT) tests/unit \
			$(NOT_INTERPRETED) \
		&& $(BIN)/python -m coverage report --fail-under=95 \
		&& NUMBA_BOUNDSCHECK=1 $(PYTEST) $(SHORT) $(KERNEL_TESTS))

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

$(VENV)/.long: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH) \
		|| echo 'PyTorch cannot be installed here ($(TORCH)): its tests are skipped'
	touch $@

.PRECIOUS: $(VENV)/.%

clean:
	rm -rf $(VENV) build *.egg-info .benchmarks .coverage .test-*.log .pytest_cache .mypy_cache .ruff_cache
