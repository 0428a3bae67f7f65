# The environment and the workflow in one image: docker build -t ap3 .
FROM python:3.12-slim

WORKDIR /ap3
COPY . .
RUN pip install --no-cache-dir --constraint envs/constraints.txt --editable '.[workflow]'

CMD ["snakemake", "--cores", "all"]
