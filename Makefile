# `make` alone prints what there is.
PYTHON ?= python3
CORES ?= 2
PROFILE ?= quick
RESOLUTION ?=
BIN := .venv/bin
DOCS := .cache/docs
UV := $(shell command -v uv 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help env reproduce test test-fast test-all structure figures baselines claims report leaderboard docs archive release-check \
	lint lock clean

help:  ## print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1|/' | column -t -s '|'
	@echo "  settings: CORES=$(CORES)  PROFILE=$(PROFILE) (quick, laptop, paper)  PYTHON=$(PYTHON)"

env: .venv/installed  ## make the environment, .venv (uv when present, else venv and pip)

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else "Python %d.%d was found; 3.11, 3.12 or 3.13 is needed: give one as  make PYTHON=python3.12 ..." % v)'
	@echo "Setting up .venv (a minute or two, once)"
ifneq ($(RESOLUTION),)  # not the tested versions, but the highest or lowest-direct ones that pyproject.toml allows (needs uv)
	@$(UV) venv --quiet --clear --seed --python $$($(PYTHON) -c 'import sys; print(sys.executable)') .venv
	@$(UV) pip install --quiet --python $(BIN)/python --resolution $(RESOLUTION) -e '.[suite,dev]'
else ifneq ($(UV),)
	@$(UV) venv --quiet --clear --seed --python $$($(PYTHON) -c 'import sys; print(sys.executable)') .venv
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps -e .
else
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
endif
	@touch $@

reproduce: env  ## train the models and draw the figures of PROFILE
	@test -f config/$(PROFILE).yaml || { echo "PROFILE=$(PROFILE) is unknown: there are $(notdir $(basename $(shell grep -l '^profile:' config/*.yaml)))."; exit 1; }
	@$(BIN)/snakemake --cores $(CORES) --keep-going --configfile config/$(PROFILE).yaml

test: env  ## run the tests
	@$(BIN)/python -m pytest -n $(CORES) --dist worksteal

FAST := boundaries cli claims config extensions files golden hazard identity measures models paper plotting propagators \
	references report scaling speed systems

test-fast: env  ## run the tests that take no long compilation, two minutes in all
	@$(BIN)/python -m pytest -n $(CORES) --dist worksteal -k "$(shell echo $(FAST:%=test_%) | sed 's/ / or /g')"

test-all: env  ## run all tests, also those marked slow
	@$(BIN)/python -m pytest -m "" -n $(CORES) --dist worksteal

structure:  ## count modules, imports, layers, circles and the longest files and functions
	@$(PYTHON) tests/structure.py

figures: env  ## draw the figures of PROFILE again from its rows, without training
	@$(BIN)/python -m nqsbench figures results/$(PROFILE) figures/$(PROFILE)

baselines: env  ## keep the rows of the quick profile as those that newcomers are compared with
	@test -f results/quick/training.csv || { echo "results/quick/training.csv does not exist: \`make reproduce\` makes it."; exit 1; }
	@cp results/quick/training.csv src/nqsbench/data/baselines.csv

claims: env  ## judge the claims again by the tracked rows of the laptop profile
	@$(BIN)/python -m nqsbench claims results/laptop README.md docs/claims.md

report: env  ## write results/PROFILE/report.html again from what is there
	@$(BIN)/python -m nqsbench report results/$(PROFILE) figures/$(PROFILE)

leaderboard: env  ## write site/leaderboard.html from all rows that are in results, and submissions/*.zip
	@$(BIN)/python -m nqsbench leaderboard site/leaderboard.html

docs: env $(DOCS)/installed  ## write the documentation, site/index.html, and the leaderboard: notebooks are executed, warnings are errors
	@NO_MKDOCS_2_WARNING=1 JUPYTER_PLATFORM_DIRS=1 NETKET_NO_TIPS=1 PYTHONWARNINGS=ignore $(DOCS)/bin/mkdocs build --quiet --strict --clean && echo "site/index.html"
	@$(BIN)/python -m nqsbench leaderboard site/leaderboard.html

archive: env  ## keep the tracked rows as dist/nqsbench-rows.zip, with a checksum for each file, and verify it
	@$(BIN)/python -m nqsbench archive results $(wildcard submissions) CITATION.cff LICENSE --out dist/nqsbench-rows.zip
	@$(BIN)/python -m nqsbench verify dist/nqsbench-rows.zip

release-check: env archive  ## build wheel and sdist, install each alone, test it there, and check what PyPI will show
	@$(BIN)/python -m pytest -m "" -n0 -rA tests/test_install.py

$(DOCS)/installed: pyproject.toml  # the extra alone; the notebooks see the packages of .venv beside it
	@$(PYTHON) -m venv --clear $(DOCS)
	@$(DOCS)/bin/pip install --quiet --disable-pip-version-check $$($(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"])')
	@$(DOCS)/bin/python -c 'import pathlib, sysconfig; here = pathlib.Path(sysconfig.get_path("purelib")); there = pathlib.Path(".venv").resolve() / here.relative_to(pathlib.Path("$(DOCS)").resolve()); (here / "suite.pth").write_text(f"import site; site.addsitedir({str(there)!r})\n")'
	@touch $@

lint: env  ## check the style of the code
	@$(BIN)/ruff check setup.py src tests && $(BIN)/ruff format --check setup.py src tests && $(BIN)/snakefmt --check Snakefile workflow

lock:  ## choose new versions of all packages (needs uv)
	uv pip compile --upgrade --universal --generate-hashes --no-header --python-version 3.11 --extra suite --extra dev pyproject.toml -o requirements.lock

clean:  ## remove the environment and what the quick profile made
	rm -rf .venv results/quick figures/quick
