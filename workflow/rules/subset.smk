# Needs: a decoded data set. Gives: the same with fewer training images.


rule subset:
    input:
        "results/data/{dataset}.safetensors",
    output:
        "results/data/{dataset}.{examples}.safetensors",
    log:
        "results/logs/data/{dataset}.{examples}.log",
    wildcard_constraints:
        examples="[0-9]+",
    cache: CACHE
    priority: FOR_AGREEMENT
    conda:
        "../../envs/ap3.yaml"
    resources:
        runtime=grown(30),
        mem_mb=grown(8000),
    params:
        examples=named("examples"),
        code=code_of("subset"),
    message:
        "Take {wildcards.examples} training images of {wildcards.dataset}"
    shell:
        "ap3 subset --data {input} {params.examples} --out {output} 2> {log}"
