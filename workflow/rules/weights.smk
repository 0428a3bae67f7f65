# Needs: a network of torchvision that has pretrained weights. Gives: these, checked, with the input
# size and normalisation that they go with.


rule weights:
    output:
        "results/weights/{model}/{weights}.safetensors",
    log:
        "results/logs/weights/{model}/{weights}.log",
    cache: CACHE
    priority: FOR_AGREEMENT
    localrule: True
    conda:
        "../../envs/ap3.yaml"
    resources:
        runtime=240,
        mem_mb=4000,
        data_dir=DATA_DIR,
    params:
        weights=named("model", "weights"),
        code=code_of("weights"),
        libraries=door.library_versions(),
    message:
        "Fetch the weights {wildcards.weights} of {wildcards.model}"
    shell:
        "ap3 weights {params.weights} --out {output} {resources.data_dir} 2>&1 | tee {log} >&2"
