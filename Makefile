# Lamppost: `make demo` shows it, `make test` proves it. Both need only Python 3.11 or newer.

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
UV ?= uv

# The first Python that is new enough and can make virtual environments; or say which: make test PYTHON=python3.12
SUITS := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c "$(SUITS)" >/dev/null 2>&1 && echo "$$p" && break; done)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
# The tests start processes by the dozen: what Python compiled for the first is kept for the others.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-hardware test-faults simulate check clean lock
.DELETE_ON_ERROR:

help:
	@echo "make demo    one emulated street: sensors, broker, rules, status page, live view (stop it with Ctrl-C)"
	@echo "             make demo ARGS='--for 30 --json' runs 30 seconds without a terminal"
	@echo "make test    the quick tests (under two minutes)"
	@echo "make test-hardware   the drivers on real /dev/i2c-N and /dev/gpiochipN, the unit under systemd, a day in"
	@echo "             virtual time (builds a kernel once; some minutes more; docs/hardware-tests.md)"
	@echo "make test-faults   kills, power cuts, failing and full disks, damaged files, wrong clocks (minutes; FULL=1: longer)"
	@echo "make simulate  ten thousand lives of a gateway, each from a seed (see docs/simulator.md)"
	@echo "make check   style, types and the import rule"
	@echo "make clean   remove $(VENV) and everything else that was made"
	@echo "make lock    pin the requirements anew (needs uv)"

demo: $(VENV)/demo.made
	@$(BIN)/lamppost demo $(ARGS)

test: $(VENV)/dev.made
	$(BIN)/python -m pytest -m "not slow" -n 3 --dist worksteal $(ARGS)

# A level that this machine cannot run says why. ARGS='--level shim' runs the first alone, in half a minute.
test-hardware: $(VENV)/dev.made
	@$(BIN)/python -m tests.hardware $(ARGS)

# Needs a C compiler; where faketime or mosquitto is not installed, it says which rows were not done.
test-faults: $(VENV)/dev.made
	@FULL=$(FULL) $(BIN)/python -m tests.faults $(ARGS)

simulate: $(VENV)/dev.made
	$(BIN)/python -m tests.simulator --seeds 1:10000 $(ARGS)

check: $(VENV)/dev.made
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest tests/test_architecture.py

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A virtual environment of its own, holding exactly what the requirements pin, each file checked by its hash.
define environment
	@test -n "$(PYTHON)" || { echo "Lamppost needs Python 3.11 or newer with its venv module; none was found."; \
		echo "On Debian: apt install python3 python3-venv. Or name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; }
	@echo "Making $(VENV) from $(1) with $(PYTHON): about half a minute, this time only."
	@"$(PYTHON)" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes -r $(1)
	@$(BIN)/python -m pip install --quiet --quiet --no-deps --no-build-isolation --editable .
endef

$(VENV)/demo.made: requirements-demo.txt pyproject.toml
	$(call environment,$<)
	@touch $@

# What the tests need includes what the demo needs.
$(VENV)/dev.made: requirements-dev.txt pyproject.toml
	$(call environment,$<)
	@touch $(VENV)/demo.made $@

COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock" --group build pyproject.toml

lock:
	@command -v $(UV) >/dev/null || { echo "make lock needs uv (pip install uv), or name one: make lock UV=/path/to/uv"; exit 1; }
	$(COMPILE) --output-file requirements.txt
	$(COMPILE) --constraint requirements.txt --extra demo --output-file requirements-demo.txt
	$(COMPILE) --constraint requirements-demo.txt --extra demo --extra dev --output-file requirements-dev.txt
