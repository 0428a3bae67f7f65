# Needs: a baseline and its data. Gives: what the last layer sees of random views of the training
# images, for all variants. Only for studies that augment and tune the last layer by itself.

for study in STUDIES.values():
    if not study.has_views:
        continue

    rule:
        name:
            f"views_{study.name}"
        input:
            data=images_of,
            checkpoint=rules.baseline.output.checkpoint,
        output:
            (
                f"{RUN}/views.safetensors"
                if study.settings["finetuning"]["keep_views"]
                else temp(f"{RUN}/views.safetensors")
            ),
        log:
            f"{RUN}/logs/views.log",
        wildcard_constraints:
            study=study.name,
        priority: CARD_FIRST
        conda:
            "../../envs/ap3.yaml"
        threads: setting("threads")
        resources:
            gpu=gpus,
            runtime=grown(480),
            mem_mb=grown(16000),
        params:
            views=option("finetuning", "views"),
            augmentation=option("training", "augmentation"),
            view_dtype=option("finetuning", "view_dtype"),
            order=option("training", "channels_last"),
            cpu_threads=option("threads"),
            precision=option("precision"),
            device=device,
            code=code_of("views"),
            network=network_code,
            model=named("model"),
            libraries=door.library_versions(),
        message:
            "Views of {wildcards.model} on {wildcards.dataset}, trial {wildcards.trial}"
        shell:
            "ap3 views --data {input.data} --checkpoint {input.checkpoint} {params.model}"
            " {params.views} {params.augmentation} {params.view_dtype} {params.precision}"
            " {params.order} {params.cpu_threads} {params.device} --out {output} 2> {log}"
