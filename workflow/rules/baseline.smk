# Needs: a decoded data set, and pretrained weights if any. Gives: a trained network and its history, per trial.


rule baseline:
    input:
        data=images_of,
        weights=weights_of,
    output:
        checkpoint=f"{RUN}/baseline.safetensors",
        history=f"{RUN}/baseline.csv",
    log:
        f"{RUN}/logs/baseline.log",
    cache: CACHE
    priority: CARD_FIRST
    conda:
        "../../envs/ap3.yaml"
    threads: setting("threads")
    resources:
        gpu=gpus,
        runtime=grown(1440),
        mem_mb=grown(16000),
    params:
        data=images_of,
        start=lambda w: options(
            {
                "model": name_of(w, "model"),
                "trial": w.trial,
                "image_size": study_of(w).image_size(*pair_of(w)),
                "weights": weights_of(w) or None,
            }
        ),
        recipe=lambda w: options(study_of(w).recipe(*pair_of(w))),
        validation=option("validation"),
        seed=option("seed"),
        cpu_threads=option("threads"),
        precision=option("precision"),
        device=device,
        code=code_of("baseline"),
        network=lambda w: network_code(w) + weights_code(w),
        libraries=door.library_versions(),
    message:
        "Train {wildcards.model} on {wildcards.dataset}, trial {wildcards.trial}"
    shell:
        "ap3 baseline --data {input.data} {params.start} {params.recipe} {params.validation}"
        " {params.seed} {params.cpu_threads} {params.precision} {params.device}"
        " --checkpoint {output.checkpoint} --history {output.history} 2> {log}"
