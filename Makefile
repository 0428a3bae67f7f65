# make env   the environment, .venv, with pinned versions
# make demo  the environment, and the main job
# make report  the environment, and the study on one HTML page, twice: ours, and Snakemake's own
# make test  the environment, and the tests
# make docs  the environment, and the documentation in build/docs
# make test-slurm  a study on a Slurm cluster that the tests start on this machine
# make soak  kill and fuzz for an hour, or MINUTES=20; the table goes to results/soak.csv
# make bench  all that a CPU can measure, to results/bench (under 40 minutes on two cores)

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# The environment is current while this digest of what defines it is the one it was made from.
PINS := $(shell cat pyproject.toml envs/constraints.txt | cksum | tr ' ' '-')
READY := .venv/.made-from-$(PINS)

MINUTES ?= 60

.PHONY: env demo report test test-slurm soak bench lint docs

env: $(READY)

$(READY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "ap3 needs Python 3.11 or newer; found $$($(PYTHON) --version). Give another with make PYTHON=…" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint envs/constraints.txt --editable '.[workflow,progress,slurm,test,docs]'
	@rm -f .venv/.made-from-*
	@touch $@

demo: env
	snakemake --cores all
	@echo "The figures are in results/demo/figures, the tables in results/demo/tables."

report: env
	snakemake --cores all report
	snakemake --report results/snakemake-report.html report
	@echo "The page is results/STUDY/report.html; Snakemake's own is results/snakemake-report.html."

test: env lint
	pytest

test-slurm: env
	pytest -m slurm tests/slurm

bench: env
	python bench

docs: env
	python docs/configuration.py
	python docs/reproduced.py
	sphinx-build --quiet --fail-on-warning --keep-going docs build/docs
	@echo "The documentation is in build/docs/index.html."

lint: env
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint
	mypy
	python docs/docstrings.py

soak: env
	python tests/soak/soak.py --minutes $(MINUTES)
