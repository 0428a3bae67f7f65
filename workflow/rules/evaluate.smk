# Needs: the variants of one baseline, it, and its data. Gives: PD and every measure of each variant, a
# row for each; the same of each layer, of each layer pruned alone, and the outcomes of test images.


rule evaluate:
    input:
        allocations=rules.allocations.output[0],
        checkpoint=rules.baseline.output.checkpoint,
        data=images_of,
    output:
        evaluated=f"{RUN}/evaluated.csv",
        layers=f"{RUN}/evaluated.layers.csv",
        single=f"{RUN}/evaluated.single.csv",
        outcomes=f"{RUN}/evaluated.outcomes.safetensors",
    log:
        f"{RUN}/logs/evaluate.log",
    priority: CARD_FIRST
    conda:
        "../../envs/ap3.yaml"
    threads: setting("threads")
    resources:
        gpu=gpus,
        runtime=grown(1440),
        mem_mb=grown(16000),
    params:
        latent=latent("df", "groups", "variance", "beta", "share", "examples"),
        laws=lambda w: " ".join(
            f"--law {quote(law)}" for law in setting("latent", "own")(w)
        ),
        recipe=tuning_options,
        statistics=option("pruning", "batch_norm"),
        cpu_threads=option("threads"),
        precision=option("precision"),
        device=device,
        code=lambda w: code_of(
            "evaluate",
            *door.law_modules(),
            *door.own_modules(setting("latent", "own")(w)),
            *door.own_modules(setting("pruning", "modes")(w)),
        ),
        network=network_code,
        model=named("model"),
        libraries=door.library_versions(),
    message:
        "Evaluate the variants of {wildcards.model} on {wildcards.dataset}, trial {wildcards.trial}"
    shell:
        "ap3 evaluate {input.allocations} --checkpoint {input.checkpoint} --data {input.data}"
        " {params.model} {params.recipe} {params.statistics} {params.latent} {params.laws}"
        " {params.precision} {params.cpu_threads} {params.device} --out {output.evaluated} 2> {log}"
