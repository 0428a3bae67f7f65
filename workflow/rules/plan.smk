# Needs: the settings and data of the study of the configuration. Prints how long its stages take on
# this machine; keeps nothing, since it is true of this machine and this hour only.


rule plan:
    input:
        settings=f"results/{STUDY.name}/settings.json",
        data=[images_at(STUDY, *pair) for pair in STUDY.pairs],
    log:
        f"results/{STUDY.name}/logs/plan.log",
    conda:
        "../../envs/ap3.yaml"
    threads: STUDY.settings["threads"]
    resources:
        gpu=lambda wildcards: gpus_of(STUDY),
        runtime=grown(60),
        mem_mb=grown(16000),
    params:
        data=lambda w, input: " ".join(f"--data {quote(file)}" for file in input.data),
        device=options({"device": device_of(STUDY)}),
    message:
        "Time the networks of study {STUDY.name} on few images"
    shell:
        "ap3 plan {input.settings} {params.data} {params.device} 2> {log}"
