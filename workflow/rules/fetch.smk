# Needs: a data set with raw files. Gives: each file, downloaded or taken from data_dir, checked.


rule fetch:
    output:
        "results/data/raw/{dataset}/{file}",
    log:
        "results/logs/fetch/{dataset}/{file}.log",
    cache: CACHE
    priority: FOR_AGREEMENT
    localrule: True
    conda:
        "../../envs/ap3.yaml"
    resources:
        runtime=240,
        mem_mb=1000,
        data_dir=DATA_DIR,
    params:
        file=named("dataset", "file"),
        sha256=lambda w: " ".join(door.datasets.get(w.dataset).file(w.file).sha256),
        code=code_of("fetch"),
    message:
        "Fetch {wildcards.file} of {wildcards.dataset}"
    shell:
        "ap3 fetch {params.file} --out {output} {resources.data_dir} 2>&1 | tee {log} >&2"
