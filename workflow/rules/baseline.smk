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
    conda:
        "../../envs/ap3.yaml"
    threads: setting("threads")
    resources:
        gpu=gpus,
        runtime=1440,
        mem_mb=16000,
    params:
        recipe=lambda w: options(study_of(w).recipe(w.dataset, w.model)),
        start=lambda w, input: options(
            {
                "image_size": study_of(w).image_size(w.dataset, w.model),
                "weights": input.get("weights") or None,
            }
        ),
        validation=setting("validation"),
        seed=setting("seed"),
        cpu_threads=setting("threads"),
        precision=setting("precision"),
        device=config.get("device", "auto"),
        code=code_of("baseline"),
        network=network_code,
        torch=version("torch"),
    message:
        "Train {wildcards.model} on {wildcards.dataset}, trial {wildcards.trial}"
    shell:
        "ap3 baseline --data {input.data} --model {wildcards.model} --trial {wildcards.trial}"
        " {params.start} {params.recipe} --validation {params.validation}"
        " --seed {params.seed} --threads {params.cpu_threads} --device {params.device}"
        " --precision {params.precision}"
        " --checkpoint {output.checkpoint} --history {output.history} 2> {log}"
