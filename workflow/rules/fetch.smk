# Needs: a data set with raw files. Gives: each file, downloaded or taken from data_dir, checked.


rule fetch:
    output:
        "results/data/raw/{dataset}/{file}",
    log:
        "results/logs/fetch/{dataset}/{file}.log",
    conda:
        "../../envs/ap3.yaml"
    resources:
        runtime=240,
        mem_mb=1000,
    params:
        data_dir=options({"data_dir": config.get("data_dir")}),
    message:
        "Fetch {wildcards.file} of {wildcards.dataset}"
    shell:
        "ap3 fetch --dataset {wildcards.dataset} --file {wildcards.file} --out {output}"
        " {params.data_dir} 2> {log}"
