# Needs: a baseline and its data. Gives: what the last layer sees, one pass for all variants.


rule features:
    input:
        data=images_of,
        checkpoint=rules.baseline.output.checkpoint,
    output:
        f"{RUN}/features.safetensors",
    log:
        f"{RUN}/logs/features.log",
    priority: CARD_FIRST
    conda:
        "../../envs/ap3.yaml"
    threads: setting("threads")
    resources:
        gpu=gpus,
        runtime=grown(240),
        mem_mb=grown(16000),
    params:
        order=option("training", "channels_last"),
        cpu_threads=option("threads"),
        precision=option("precision"),
        device=device,
        code=code_of("features"),
        network=network_code,
        model=named("model"),
        libraries=door.library_versions(),
    message:
        "Features of {wildcards.model} on {wildcards.dataset}, trial {wildcards.trial}"
    shell:
        "ap3 features --data {input.data} --checkpoint {input.checkpoint} {params.model}"
        " {params.precision} {params.order} {params.cpu_threads} {params.device}"
        " --out {output} 2> {log}"
