# Needs: the fine-tuned layers and logs of one baseline, and what its last layer sees. Gives: AP2,
# AP3, their rivals and PD, a row per variant and epoch, and how the PDs vary with the examples.

for study in LAST_LAYER:
    in_head = study.settings["finetuning"]["scope"] == "head"

    rule:
        name:
            f"measure_{study.name}"
        input:
            tuned=output_of("finetune", study).tuned,
            log=output_of("finetune", study).log,
            outcomes=output_of("finetune", study).outcomes,
            checkpoint=rules.baseline.output.checkpoint,
            features=rules.features.output[0],
            covariance=rules.covariance.output[0],
        output:
            measures=f"{RUN}/measures.csv",
            noise=f"{RUN}/measures.safetensors",
        log:
            f"{RUN}/logs/measure.log",
        wildcard_constraints:
            study=study.name,
        priority: FOR_AGREEMENT
        conda:
            "../../envs/ap3.yaml"
        threads: setting("threads")
        resources:
            runtime=grown(120),
            mem_mb=grown(8000),
        params:
            latent=latent(*LAWS, "examples", "monte_carlo"),
            laws=" ".join(
                f"--law {quote(law)}" for law in study.settings["latent"]["own"]
            ),
            scope=option("finetuning", "scope"),
            cpu_threads=option("threads"),
            code=code_of(
                "measure",
                *door.measure_modules(),
                *door.own_modules(study.settings["latent"]["own"]),
            ),
        message:
            "Measure {wildcards.model} on {wildcards.dataset}, trial {wildcards.trial}"
        shell:
            "ap3 measure {input.tuned} --checkpoint {input.checkpoint} --features {input.features}"
            " --covariance {input.covariance} {params.scope} {params.latent} {params.laws}"
            " {params.cpu_threads} --out {output.measures} 2> {log}"
