# Needs: a baseline and its data. Gives: what the last layer sees, one pass for all variants.


rule features:
    input:
        data=images_of,
        checkpoint=f"{RUN}/baseline.safetensors",
    output:
        f"{RUN}/features.safetensors",
    log:
        f"{RUN}/logs/features.log",
    conda:
        "../../envs/ap3.yaml"
    threads: setting("threads")
    resources:
        gpu=gpus,
        runtime=240,
        mem_mb=16000,
    params:
        views=setting("finetuning", "views"),
        augmentation=setting("training", "augmentation"),
        view_dtype=setting("finetuning", "view_dtype"),
        cpu_threads=setting("threads"),
        precision=setting("precision"),
        device=config.get("device", "auto"),
        code=code_of("features"),
        network=network_code,
    message:
        "Features of {wildcards.model} on {wildcards.dataset}, trial {wildcards.trial}"
    shell:
        "ap3 features --data {input.data} --checkpoint {input.checkpoint}"
        " --views {params.views} --augmentation {params.augmentation}"
        " --view-dtype {params.view_dtype} --precision {params.precision}"
        " --threads {params.cpu_threads} --device {params.device} --out {output} 2> {log}"
