# PRESET=smoke|cpu|night|gpu|paper  DATA=digits|photos|mnist|...|a folder or zip  SCALE=1  SEEDS=0  PAPER=dcgan_kd|sdakd|nickel_dime|your_own_gan (empty: all)  JOBS=0
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

# Values reach Python through the environment to the letter, read by neither make nor a shell;
# ganzip.reproduce checks them, and the names that the command line sets.
export MAKE_SET := $(foreach v,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(v)))),$(v)))
$(foreach v,PRESET DATA SCALE SEEDS PAPER JOBS TO FROM WEIGHTS GANZIP_RUNS GANZIP_DATA GANZIP_WEIGHTS GANZIP_TEACHERS,\
	$(if $(filter undefined,$(origin $(v))),,$(eval export override $(v) := $$(value $(v)))))
# What make starts ends with it.
START  := $(BIN)/python -m ganzip.processes $$PPID

.DEFAULT_GOAL := help
.PHONY: help install reproduce bench status bundle merge smoke figures keep references lab test lint ruff pyright pytest nbval clean

help: ## list the verbs
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20
	@head -n 1 $(MAKEFILE_LIST) | cut -c 3-

install: $(VENV)/.installed ## everything into .venv, exact pins (1 to 4 minutes, once)

# Python compiles a module when it is first imported: to compile all of them here takes a minute.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --no-compile --disable-pip-version-check -c constraints.txt -e '.[all]'
	touch $@

reproduce: install ## every table and figure of the papers, into runs/<paper>/<preset>/; JOBS=n by Snakemake
status: install ## units done, running, failed, missing; time, GPU hours and disk of the plan
bundle: install ## what is done into a zip (TO=), no data; WEIGHTS=1 with weights
merge: install ## take in what another machine did: FROM=its bundle
keep: install ## reproduce, and keep what came out in figures/
references: install ## execute at smoke what nbval replays, into tests/notebooks/
reproduce status bundle merge keep references:
	@$(START) ganzip.reproduce $@

smoke: install ## the same in a few minutes, to see that all of it runs
	@PRESET=smoke $(START) ganzip.reproduce reproduce

figures: install ## every kept figure, table and page again from kept rows; trains nothing
	$(START) ganzip.report.keeping figures
	$(START) ganzip.report.pages

lab: install ## explore in JupyterLab
	$(BIN)/jupyter lab notebooks

test: ruff ## ruff, pyright, pytest, and the notebooks replayed by nbval
	$(MAKE) --jobs 2 pyright pytest
	$(MAKE) nbval

lint: ruff pyright ## ruff and pyright

ruff: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

pyright: install
	$(BIN)/pyright

pytest: install
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

nbval: install
	@mkdir -p "$${GANZIP_RUNS:-runs}"; GANZIP_RUNS="$$(cd "$${GANZIP_RUNS:-runs}" && pwd)/nbval"; export GANZIP_RUNS; rm -rf "$$GANZIP_RUNS"; \
	$(BIN)/python -m pytest tests/notebooks -n 2 --dist loadfile -W default \
		--nbval --nbval-current-env --nbval-sanitize-with tests/sanitize.cfg --nbval-cell-timeout 600 --nbval-kernel-startup-timeout 120

bench: install ## speed and memory against plain implementations, into benchmarks/results/ (8 minutes)
	$(START) benchmarks

clean: ## remove runs/ and caches; .venv stays
	rm -rf runs .pytest_cache .ruff_cache *.egg-info
