# The commands that people and CI type. Everything installed goes to .venv.
PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
BIN := .venv/bin

.PHONY: demo demo-photos test test-slow lint docs pictures bench paper completion truth truth-patches evidence agreement soak

demo: .venv/installed
	$(BIN)/fillblanks demo --folder fillblanks-demo

# An ImageNet network on photographs of 224 pixels; both come in packages.
demo-photos: .venv/installed
	$(BIN)/fillblanks demo --photos --folder fillblanks-demo-photos

# Tests start hundreds of Python processes, which need not compile our modules each time, and
# `make test-slow` need not compile the tests again; an environment may set PYTHONDONTWRITEBYTECODE.
# Tests wait for processes and servers, so that three workers keep two cores busy.
COMPILED := @$(BIN)/python -m compileall -qq audits fillblanks flows tests/support
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test: .venv/installed
	$(COMPILED)
	$(PYTEST) -m "not slow and not soak"

# Real training, an outage, whole audits, and browsers of pages: slow by nature.
test-slow: .venv/installed
	$(COMPILED)
	$(PYTEST) -m "slow and not soak"

# Twenty kills, an outage of a minute, and 2,000 random changes of archives, where the tests have
# none, five seconds, and 100; all forms of models with the kernels of older processors; and the
# tests that are run before a release alone.
soak: .venv/installed
	$(PYTEST) -m soak
	FILLBLANKS_KERNELS=1 $(PYTEST) tests/forms
	FILLBLANKS_EXAMPLES=soak FILLBLANKS_FUZZ=2000 $(BIN)/python -m pytest tests/hostile/test_fuzz.py tests/hostile/test_records.py
	FILLBLANKS_KILLS=20 FILLBLANKS_AWAY=60 $(BIN)/python -m pytest \
		tests/end_to_end/test_kills.py tests/end_to_end/test_outage.py

paper: .venv/installed
	PYTHONPATH=benchmarks $(BIN)/python -m paper $(if $(QUICK),--quick)

truth: .venv/installed
	PYTHONPATH=benchmarks OMP_NUM_THREADS=2 $(BIN)/python -W ignore -m truth $(if $(QUICK),--quick)

truth-patches: .venv/installed
	PYTHONPATH=benchmarks $(BIN)/python -W ignore -m truth_patches

evidence: .venv/installed
	PYTHONPATH=benchmarks $(BIN)/python -W ignore -m evidence $(if $(QUICK),--quick)

agreement: .venv/installed
	PYTHONPATH=benchmarks OMP_NUM_THREADS=2 $(BIN)/python -W ignore -m agreement $(if $(QUICK),--quick)

# The photographs are those of Debian's gcompris-qt-data. If it is unpacked and not installed,
# PHOTOGRAPHS names the folder of its .rcc files.
completion: .venv/installed
	PYTHONPATH=benchmarks $(BIN)/python -m completion $(if $(QUICK),--quick) \
		$(if $(PHOTOGRAPHS),--photographs $(PHOTOGRAPHS))

bench: .venv/installed
	$(BIN)/python -W ignore benchmarks

lint: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	MYPY_NUM_WORKERS=2 $(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# Takes the pictures of docs/reading.md anew, in Chromium.
pictures: .venv/installed
	PYTHONPATH=tests/support $(BIN)/python docs/tools/pictures.py fillblanks-demo

docs: .venv/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# pip would compile one file after the other. compileall also meets files that are no Python.
.venv/installed: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile \
		--constraint $(CONSTRAINTS) --editable '.[audit,dev,docs,photos]'
	$(BIN)/python -m compileall -qq -j 0 .venv/lib || true
	touch $@
