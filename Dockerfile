# The workflow and its environment in one image; docs/ecosystem.md says how to use it.
FROM python:3.12-slim

# `compile: true` translates networks with a C and C++ compiler.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ \
 && rm -rf /var/lib/apt/lists/*

COPY . /ap3
RUN pip install --no-cache-dir --constraint /ap3/envs/constraints.txt --editable '/ap3[workflow]'

# Nothing needs root. Whoever it runs as has a place for caches, and a name.
RUN useradd --system ap3
USER ap3
ENV HOME=/tmp USER=ap3

# Mount a folder of yours here: results/ appears in it.
WORKDIR /study
ENTRYPOINT ["snakemake", "--snakefile", "/ap3/Snakefile", "--configfile", "/ap3/config.yaml", "--cores", "all"]
