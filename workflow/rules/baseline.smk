# Needs: a decoded data set. Gives: a trained network and its history, per trial.


rule baseline:
    input:
        data="results/data/{dataset}.safetensors",
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
        image_size=setting("image_size"),
        validation=setting("validation"),
        seed=setting("seed"),
        cpu_threads=setting("threads"),
        device=config.get("device", "auto"),
        code=code_of("baseline"),
        network=network_code,
        torch=version("torch"),
    message:
        "Train {wildcards.model} on {wildcards.dataset}, trial {wildcards.trial}"
    shell:
        "ap3 baseline --data {input.data} --model {wildcards.model} --trial {wildcards.trial}"
        " --image-size {params.image_size} {params.recipe} --validation {params.validation}"
        " --seed {params.seed} --threads {params.cpu_threads} --device {params.device}"
        " --checkpoint {output.checkpoint} --history {output.history} 2> {log}"
