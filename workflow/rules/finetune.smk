# Needs: pruned layers, their baseline, and its features (scope head) or its data (scope all).
# Gives: a log and the layer of every epoch, per variant. One job tunes all variants of a baseline.

for study in LAST_LAYER:
    in_head = study.settings["finetuning"]["scope"] == "head"

    rule:
        name:
            f"finetune_{study.name}"
        input:
            pruned=output_of("prune", study)[0],
            checkpoint=rules.baseline.output.checkpoint,
            seen=(rules.features.output[0] if in_head else images_of),
            views=output_of("views", study)[0] if study.has_views else [],
        output:
            tuned=f"{RUN}/finetuned.safetensors",
            log=f"{RUN}/finetuned.csv",
            depth=[] if in_head else f"{RUN}/finetuned.layers.csv",
            outcomes=[] if in_head else f"{RUN}/finetuned.outcomes.safetensors",
        log:
            f"{RUN}/logs/finetune.log",
        wildcard_constraints:
            study=study.name,
        priority: CARD_FIRST
        conda:
            "../../envs/ap3.yaml"
        threads: setting("threads")
        resources:
            gpu=gpus,
            runtime=grown(1440),
            mem_mb=grown(16000),
        params:
            recipe=lambda w: options(study_of(w).finetuning_recipe(*pair_of(w))),
            what="--features" if in_head else "--data",
            views=lambda w, input: options({"views": input.get("views") or None}),
            cpu_threads=option("threads"),
            precision=option("precision"),
            device=device,
            code=code_of("finetune"),
            network=network_code,
            model=named("model"),
            libraries=door.library_versions(),
        message:
            "Fine-tune {wildcards.model} on {wildcards.dataset}, trial {wildcards.trial}"
        shell:
            "ap3 finetune {input.pruned} --checkpoint {input.checkpoint} {params.what} {input.seen}"
            " {params.model} {params.views}"
            " {params.recipe} {params.cpu_threads} {params.precision} {params.device}"
            " --out {output.tuned} 2> {log}"
