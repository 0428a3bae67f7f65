#!/usr/bin/env bash
# Snakemake runs this in the new conda environment: ap3 itself, from the checkout that it runs in, or
# from the one that AP3_CHECKOUT names.
set -euo pipefail
pip install --no-deps "${AP3_CHECKOUT:-.}"
