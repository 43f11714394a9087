# Every target sets itself up: the first one that runs makes .venv with plain pip, the others find it there.
#
#   make PYTHON=python3.12 tour                                     another Python (3.11 to 3.14)
#   make TORCH_INDEX=https://download.pytorch.org/whl/cpu tour      PyTorch's own CPU wheels: about 200 MB, not 2 GB and more
#
# tour and test use the digits that come with the installed packages unless KPP_DATA names a folder of data, or KPP_OFFLINE=0
# allows a download.

SHELL := bash
PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=

BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
READY := $(VENV)/.ready
OFFLINE := $(if $(KPP_DATA)$(KPP_OFFLINE),,KPP_OFFLINE=1)
PIP := PYTHONUNBUFFERED=1 $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off
# Of pip's hundreds of lines, those that show that something moves: large downloads and the last step. Errors come on stderr.
SPARSE := awk '/Downloading/ && /[MG]B/ || /^(Installing collected|Successfully)/ { print "  " substr($$0, 1, 110); fflush() }'

.PHONY: help venv tour test bench bench-docs lab site check exercises sync outputs clean distclean
.DELETE_ON_ERROR:

help:
	@echo "make tour     run every notebook and judge its numbers; results in build/tour/index.html"
	@echo "make test     unit tests on all cores, notebooks and site in a browser, the tour"
	@echo "make lab      open the course in JupyterLab; make lab NOTEBOOK=06 opens another notebook than 00"
	@echo "make site     the course as static pages in build/site, with a key to drag that needs no kernel"
	@echo "make check    lint, compare the two sides of every notebook, its exercises with their sources, and our links"
	@echo "make bench    what a step, a read and a move cost, and what kills and damage break: one table, goals beside it"
	@echo "make sync     carry edits between notebooks/*.ipynb and notebooks/py/*.py"
	@echo "make exercises  write the exercises of exercises/ into the notebooks"
	@echo "make outputs  run the notebooks in place, so that the committed pictures and numbers are new"
	@echo "make venv     only the set-up;   make clean / make distclean  remove results / .venv as well"

venv: $(READY)

# The stamp is the last thing made: after an interrupted installation the next make goes on where pip stopped.
$(READY): pyproject.toml
	@rm -f $(READY)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' || { \
	  echo "Python 3.11, 3.12, 3.13 or 3.14 is needed; $(PYTHON) is: $$($(PYTHON) --version 2>&1)."; \
	  echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments: its venv module is a package of its own on this system."; \
	  echo "On Debian and Ubuntu: sudo apt install python3-venv"; exit 1; } >&2
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo "making $(VENV)"; $(PYTHON) -m venv --clear $(VENV); }
ifneq ($(TORCH_INDEX),)
	@echo "installing torch and torchvision from $(TORCH_INDEX)"
	@set -o pipefail; $(PIP) --index-url $(TORCH_INDEX) torch torchvision | $(SPARSE)
endif
	@echo "installing kpp_lib and what it needs into $(VENV) (once; some minutes)"
	@set -o pipefail; $(PIP) -e '.[dev]' | $(SPARSE)
	@touch $(READY)

tour: $(READY)
	@$(OFFLINE) $(BIN)/python -m kpp_lib tour

# The files of tests go to whichever process is free (tests/conftest.py). One process more than there are cores: those
# with a browser wait a good deal. One thread each: threads that wait for a busy core only cost time. Both parts run
# even when the first fails; the closing lines stand together at the end.
WORKERS ?= $(shell $(BIN)/python -c 'import os; m = hasattr(os, "sched_getaffinity"); print((len(os.sched_getaffinity(0)) if m else os.cpu_count()) + 1)')
test: $(READY)
	@mkdir -p build/test; set -o pipefail; unit=FAILED; tour=FAILED; $(if $(OFFLINE),export $(OFFLINE);) \
	echo "1/2 unit tests"; \
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -n $(WORKERS) --maxprocesses=8 --no-loadscope-reorder --durations=20 2>&1 \
	  | tee build/test/unit.log && unit=ok; \
	echo "2/2 tour"; \
	$(BIN)/python -m kpp_lib tour 2>&1 | tee build/test/tour.log && tour=ok; \
	echo; echo "make test"; \
	for part in unit tour; do \
	  printf '  %-6s %-7s %s\n' $$part $${!part} "$$(tail -n 1 build/test/$$part.log)"; done; \
	[ "$$unit $$tour" = "ok ok" ]

# Numbers for docs/performance.md; leave the machine alone meanwhile. `make bench BENCH=--quick` tries it out.
bench: $(READY)
	@OMP_NUM_THREADS=1 $(OFFLINE) $(BIN)/python tools/bench.py $(BENCH)

# The tables of docs/performance.md anew, from results/bench/*.json.
bench-docs: $(READY)
	@$(BIN)/python tools/bench.py --docs

NOTEBOOK ?= 00
lab: OPENED = $(firstword $(wildcard notebooks/$(NOTEBOOK)*.ipynb))
lab: $(READY)
	@[ -n "$(OPENED)" ] || { echo "NOTEBOOK=$(NOTEBOOK): no notebook starts so; there are" notebooks/*.ipynb >&2; exit 1; }
	$(BIN)/jupyter lab $(OPENED)

site: $(READY)
	@$(BIN)/python tools/build_site.py build/site

check: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/python tools/check_pairs.py
	@$(BIN)/python tools/badges.py --check
	@$(BIN)/python tools/exercises.py --check

# From exercises/NN_name.py into notebooks/py/NN_*.py, then over to the .ipynb.
exercises: $(READY)
	@$(BIN)/python tools/exercises.py
	@$(MAKE) --no-print-directory sync

sync: $(READY)
	@$(BIN)/jupytext --quiet --sync $(wildcard notebooks/*.ipynb notebooks/py/*.py)

outputs: sync
	@$(OFFLINE) $(BIN)/python -m nbconvert --to notebook --execute --inplace --ExecutePreprocessor.timeout=-1 \
	  --ExecutePreprocessor.record_timing=False --ExecutePreprocessor.store_widget_state=False notebooks/*.ipynb
	@$(BIN)/jupytext --quiet --sync notebooks/py/*.py

clean:
	rm -rf build .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) *.egg-info
