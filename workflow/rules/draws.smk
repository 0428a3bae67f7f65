# Needs: a baseline, what its last layer sees, and V and Λ of the non-diagonal law. Gives: the measures
# of many random masks beside the study's variants, before fine-tuning and at its end, and their noise.
# Only for studies that draw such masks.

for study in LAST_LAYER:
    if not study.random_masks:
        continue

    rule:
        name:
            f"draws_{study.name}"
        input:
            checkpoint=rules.baseline.output.checkpoint,
            features=rules.features.output[0],
            covariance=rules.covariance.output[0],
            views=output_of("views", study)[0] if study.has_views else [],
        output:
            measures=f"{RUN}/draws.csv",
            noise=f"{RUN}/draws.safetensors",
        log:
            f"{RUN}/logs/draws.log",
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
            variants=" ".join(quote(str(variant)) for variant in study.variants),
            masks=options({"masks": study.random_masks}),
            recipe=lambda w: options(study_of(w).finetuning_recipe(*pair_of(w))),
            views=lambda w, input: options({"views": input.get("views") or None}),
            latent=latent(*LAWS, "examples"),
            laws=" ".join(
                f"--law {quote(law)}" for law in study.settings["latent"]["own"]
            ),
            cpu_threads=option("threads"),
            device=device,
            code=code_of(
                "draws",
                *door.measure_modules(),
                *door.own_modules(study.settings["pruning"]["modes"]),
                *door.own_modules(study.settings["latent"]["own"]),
            ),
            libraries=door.library_versions(),
        message:
            "Random masks of {wildcards.model} on {wildcards.dataset}, trial {wildcards.trial}"
        shell:
            "ap3 draws {params.variants} {params.masks} --checkpoint {input.checkpoint}"
            " --features {input.features} --covariance {input.covariance} {params.views}"
            " {params.recipe} {params.latent} {params.laws} {params.cpu_threads} {params.device}"
            " --out {output.measures} 2> {log}"
