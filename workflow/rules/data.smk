# Needs: the raw files of a data set, if it has any. Gives: its images and labels, decoded.


rule data:
    input:
        lambda wildcards: expand(
            "results/data/raw/{{dataset}}/{file}",
            file=[
                file.name
                for file in door.datasets.get(name_of(wildcards, "dataset")).files
            ],
        ),
    output:
        "results/data/{dataset}.safetensors",
    log:
        "results/logs/data/{dataset}.log",
    cache: CACHE
    priority: FOR_AGREEMENT
    conda:
        "../../envs/ap3.yaml"
    resources:
        runtime=grown(60),
        mem_mb=grown(8000),
    params:
        raw=lambda wildcards, input: (
            f"--raw results/data/raw/{wildcards.dataset}" if input else ""
        ),
        dataset=named("dataset"),
        code=code_of("data"),
        source=lambda wildcards: door.dataset_digest(name_of(wildcards, "dataset")),
    message:
        "Decode {wildcards.dataset}"
    shell:
        "ap3 data {params.dataset} {params.raw} --out {output} 2> {log}"
