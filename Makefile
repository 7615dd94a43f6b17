# PRESET=smoke|cpu|gpu|paper  DATA=digits|photos|mnist|...|a folder or zip  SCALE=1  SEEDS=0  PAPER=dcgan_kd|sdakd|nickel_dime|your_own_gan (empty: all)  JOBS=0
PRESET ?= cpu
DATA   ?= digits
SCALE  ?= 1
SEEDS  ?= 0
PAPER  ?=
JOBS   ?= 0
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
RUNS   := $(or $(GANZIP_RUNS),runs)

# One folder a kind of run: cpu, cpu-mnist, cpu-x3.
comma  := ,
SETS   := $(basename $(notdir $(subst $(comma), ,$(DATA))))
LABEL  := $(PRESET)$(if $(filter-out digits photos,$(SETS)),-$(subst $() ,+,$(SETS)))$(if $(filter-out 1,$(SCALE)),-x$(SCALE))$(if $(filter-out 0,$(SEEDS)),-s$(SEEDS))
# The papers; notebook 4, a GAN of one's own, where it is asked for.
PAPERS := $(if $(PAPER),$(wildcard notebooks/[1-4]_*$(PAPER)*.ipynb),$(wildcard notebooks/[1-3]_*.ipynb))
RUN    := $(BIN)/papermill -k python3 --no-progress-bar --stdout-file - --stderr-file -
BATCH  := $(BIN)/python -m ganzip.batch
WHAT   := --preset $(PRESET) --scale $(SCALE) --seeds $(SEEDS) $(if $(filter-out digits,$(DATA)),--data "$(DATA)") \
	$(if $(PAPER),--papers $(subst $() ,$(comma),$(foreach n,$(PAPERS),$(shell basename $(n) .ipynb | cut -c 3-))))
# With JOBS, and where Snakemake is installed, it does the work; else the notebooks do it themselves.
ENGINE  = $(and $(filter-out 0,$(JOBS)),$(wildcard $(BIN)/snakemake),$(filter-out notebooks/4%,$(PAPERS)))
# What differs from the notebook's own defaults.
GIVEN  := $(if $(filter-out cpu,$(PRESET)),-p preset $(PRESET)) $(if $(filter-out digits,$(DATA)),-p data "$(DATA)") \
	$(if $(filter-out 1,$(SCALE)),-p scale $(SCALE)) $(if $(filter-out 0,$(SEEDS)),-p seeds $(SEEDS)) $(if $(filter-out 0,$(JOBS)),-p jobs $(JOBS))

# Outputs stay, progress bars shrink to their last line, the times of one machine go.
define TIDY
$(BIN)/jupyter nbconvert --log-level WARN --to notebook --inplace --CoalesceStreamsPreprocessor.enabled=True $(1); \
	$(BIN)/nbstripout --keep-output --keep-count --keep-id \
		--extra-keys "metadata.papermill cell.metadata.papermill cell.metadata.execution" $(1)
endef

.DEFAULT_GOAL := help
.PHONY: help install reproduce bench status bundle merge smoke figures keep references lab test lint nbval clean

help: ## list the verbs
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20
	@head -n 1 $(MAKEFILE_LIST) | cut -c 3-

install: $(VENV)/.installed ## everything into .venv, exact pins (2 to 5 minutes, once)

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[all]'
	touch $@

reproduce: install ## every table and figure of the papers, into runs/<paper>/<preset>/; JOBS=n by Snakemake
	$(if $(PAPERS),,$(error PAPER=$(PAPER) names no notebook; there are $(wildcard notebooks/[1-4]_*.ipynb)))
	$(if $(ENGINE),$(BATCH) run $(WHAT) --jobs $(JOBS))
	@set -e; for notebook in $(PAPERS); do \
		paper=$$(basename $$notebook .ipynb | cut -c 3-); out=$(RUNS)/$$paper/$(LABEL); mkdir -p $$out; \
		echo "$$notebook -> $$out"; \
		$(if $(ENGINE),,$(RUN) $$notebook $$out/$$(basename $$notebook) $(GIVEN);) \
		ls $$out/tables $$out/figures; \
	done

status: install ## units done, running, failed, missing; time, GPU hours and disk of the plan
	@$(BATCH) status $(WHAT) $(if $(filter-out 0,$(JOBS)),--jobs $(JOBS))

bundle: install ## what is done into a zip (TO=), no data; WEIGHTS=1 with weights
	@$(BATCH) bundle $(or $(TO),ganzip-$(LABEL).zip) $(WHAT) $(if $(filter 1,$(WEIGHTS)),--weights)

merge: install ## take in what another machine did: FROM=its bundle
	@$(BATCH) merge $(or $(FROM),$(error FROM= names no bundle: make merge FROM=ganzip-cpu.zip))

smoke: ## the same in a minute, to see that all of it runs
	$(MAKE) reproduce PRESET=smoke

figures: install ## every kept figure and table again from kept rows, and README's; trains nothing
	$(BIN)/python -m ganzip.keeping figures
	$(BIN)/python -m ganzip.page

keep: reproduce ## reproduce, and keep what came out in figures/; at the defaults also in notebooks/
	@set -e; for notebook in $(PAPERS); do \
		paper=$$(basename $$notebook .ipynb | cut -c 3-); out=$(RUNS)/$$paper/$(LABEL)/$$(basename $$notebook); \
		$(call TIDY,$$out); \
		$(if $(filter cpu,$(LABEL)),cp $$out $$notebook;) \
	done
	$(BIN)/python -m ganzip.keeping keep $(WHAT)
	@set -e; for notebook in $(if $(filter cpu,$(LABEL)),notebooks/unit.ipynb) notebooks/0_start_here.ipynb; do \
		$(RUN) $$notebook $$notebook; $(call TIDY,$$notebook); \
	done

references: install ## execute at smoke what nbval replays, into tests/notebooks/
	@rm -rf $(RUNS)/nbval; set -e; for notebook in notebooks/*.ipynb; do \
		kept=tests/$$notebook; \
		GANZIP_RUNS=$(abspath $(RUNS))/nbval $(RUN) $$notebook $$kept -p preset smoke; $(call TIDY,$$kept); \
	done; \
	$(BIN)/ruff format -q tests/notebooks

lab: install ## explore in JupyterLab
	$(BIN)/jupyter lab notebooks

test: lint ## ruff, pyright, pytest, and the notebooks replayed by nbval
	$(BIN)/python -m pytest -n 2 --dist loadfile
	$(MAKE) nbval

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

nbval: install
	rm -rf $(RUNS)/nbval
	GANZIP_RUNS=$(abspath $(RUNS))/nbval $(BIN)/python -m pytest tests/notebooks -p no:xdist -W default \
		--nbval --nbval-current-env --nbval-sanitize-with tests/sanitize.cfg --nbval-cell-timeout 600 --nbval-kernel-startup-timeout 120

bench: install ## speed and memory against plain implementations, into benchmarks/results/ (8 minutes)
	$(BIN)/python -m benchmarks

clean: ## remove runs/ and caches; .venv stays
	rm -rf runs .pytest_cache .ruff_cache *.egg-info
