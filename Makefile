# make env   the environment, .venv, with pinned versions
# make env TORCH_FROM=PLACE  the same with torch from PLACE, such as an index of wheels for CPUs
# make demo  the environment, the demo, what came out of it, and where its page is
# make report  the environment, and the study on one HTML page, twice: ours, and Snakemake's own
# make test  the environment, linters, and the tests that take minutes in all
# make test-slow  the tests of more studies, pages and browsers from end to end, the demo among them
# make test-newest  the unit tests that take seconds, on the newest Python found, in .venv-newest
# make test-oldest  the unit tests of the engine on the oldest torch that ap3 declares, in .venv-oldest
# make docs  the environment, and the documentation in build/docs
# make test-slurm  a study on a Slurm cluster that the tests start on this machine
# make soak  kill and fuzz for an hour, or MINUTES=20; the table goes to results/soak.csv
# make bench  all that a CPU can measure, to results/bench (about 20 minutes on two cores)

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# The environment is current while this digest of what defines it is the one it was made from.
PINS := $(shell cat pyproject.toml envs/constraints.txt | cksum | tr ' ' '-')
READY := .venv/.made-from-$(PINS)
READY_NEWEST := .venv-newest/.made-from-$(PINS)
EXTRAS := .[workflow,progress,slurm,formats,channels,pretrained,lightning,transformers,test,docs]
INSTALL := -m pip install --quiet --disable-pip-version-check --constraint envs/constraints.txt --editable '$(EXTRAS)'

# Where torch comes from: empty for pip's usual place, or the address of an index, or a folder, with
# wheels of the pinned torch and torchvision. Those for CPUs alone save 4 GB of CUDA libraries.
TORCH_FROM ?=
TORCH_PLACE = $(if $(wildcard $(TORCH_FROM)/.),--no-index --find-links,--index-url) '$(TORCH_FROM)'
INSTALL_TORCH = -m pip install --quiet --disable-pip-version-check --no-deps --constraint envs/constraints.txt $(TORCH_PLACE) torch torchvision

# Asked for only where it is used.
PYTHON_NEWEST ?= $(shell $(PYTHON) tests/unit/pythons.py)
NEWEST_TESTS ?= ap3 tests/unit

# The least torch and torchvision of pyproject.toml.
LEAST = $(shell sed -n 's/^  "\(torch\|torchvision\)>=\([0-9.]*\)",/\1==\2.*/p' pyproject.toml)
READY_OLDEST := .venv-oldest/.made-from-$(PINS)
OLDEST_TESTS ?= $(addprefix tests/unit/,training finetuning machine measuring networks explaining bench/test_card.py)

# Not what users put beside config.yaml.
OUR_PYTHON := $(wildcard ap3 bench docs examples tests workflow .ci)

MINUTES ?= 60

.PHONY: env demo report test test-slow test-newest test-oldest test-slurm soak bench lint docs

STANDS := $(wildcard $(READY))

env: $(READY)
	@test -z '$(STANDS)' || test -z '$(TORCH_FROM)' || echo "The environment is there already, and TORCH_FROM has no effect on it. To use TORCH_FROM, remove it first: rm -r .venv" >&2

$(READY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "ap3 needs Python 3.11 or newer; found $$($(PYTHON) --version). Give another with make PYTHON=…" >&2; exit 1; }
	@test -z '$(TORCH_FROM)' || test -d '$(TORCH_FROM)' || echo '$(TORCH_FROM)' | grep -q '://' || { echo 'TORCH_FROM names neither a folder that exists nor an address: $(TORCH_FROM)' >&2; exit 1; }
	@echo "Making the environment in .venv, which takes some minutes." >&2
	$(PYTHON) -m venv .venv
	$(if $(TORCH_FROM),.venv/bin/python $(INSTALL_TORCH))
	.venv/bin/python $(INSTALL)
	@rm -f .venv/.made-from-*
	@touch $@

demo: env
	@if test -t 2 && python -c 'import snakemake_logger_plugin_rich' 2> /dev/null; \
	then snakemake --cores all results/demo/report.html --logger rich; \
	else snakemake --cores all results/demo/report.html --quiet rules host; fi
	@ap3 findings results/demo
	@echo "All figures and tables on one page: $(CURDIR)/results/demo/report.html"

report: env
	snakemake --cores all report
	snakemake --report results/snakemake-report.html report
	@echo "The page is report.html in the study's folder in results; Snakemake's own is results/snakemake-report.html."

BESIDE_EACH_OTHER = --numprocesses auto --maxprocesses 4

test: env lint
	pytest -m 'not slow' $(BESIDE_EACH_OTHER) --dist worksteal

# By file, since the studies that a file looks at are made once by each worker.
test-slow: env
	pytest -m slow $(BESIDE_EACH_OTHER) --dist loadfile

test-newest: $(READY_NEWEST)
	PATH="$(CURDIR)/.venv-newest/bin:$$PATH" .venv-newest/bin/python -m pytest -n 2 -m 'not slow' $(NEWEST_TESTS)

$(READY_NEWEST):
	@test -n "$(PYTHON_NEWEST)" || { echo "No Python newer than 3.11 was found. Give one with make test-newest PYTHON_NEWEST=…" >&2; exit 1; }
	$(PYTHON_NEWEST) -m venv --clear .venv-newest
	.venv-newest/bin/python $(INSTALL)
	@touch $@

test-slurm: env
	pytest -m slurm tests/slurm

bench: env
	python bench

test-oldest: $(READY_OLDEST)
	PATH="$(CURDIR)/.venv-oldest/bin:$$PATH" .venv-oldest/bin/python -m pytest -m 'not slow' $(OLDEST_TESTS)

$(READY_OLDEST):
	$(PYTHON) -m venv --clear .venv-oldest
	grep -vE '^(torch|torchvision|setuptools)==' envs/constraints.txt > .venv-oldest/constraints.txt
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check --constraint .venv-oldest/constraints.txt \
	  --editable '.[pyro,channels]' $(LEAST) hypothesis mpmath pytest
	@touch $@

docs: env
	python docs/configuration.py
	python docs/reproduced.py
	python docs/tables.py
	sphinx-build --quiet --fail-on-warning --keep-going docs build/docs
	@echo "The documentation is in build/docs/index.html."

lint: env
	ruff check $(OUR_PYTHON)
	ruff format --check $(OUR_PYTHON)
	snakefmt --check Snakefile workflow
	snakemake --lint
	mypy
	python docs/docstrings.py

soak: env
	python tests/soak/soak.py --minutes $(MINUTES)
