# Needs: the fine-tuned layers and logs of one baseline, and what its last layer sees. Gives: every
# bound of Secs. 2 and 3 beside the PD, a row per variant, epoch and latent law.

for study in LAST_LAYER:

    rule:
        name:
            f"bounds_{study.name}"
        input:
            tuned=output_of("finetune", study).tuned,
            log=output_of("finetune", study).log,
            checkpoint=rules.baseline.output.checkpoint,
            features=rules.features.output[0],
            covariance=rules.covariance.output[0],
        output:
            f"{RUN}/bounds.csv",
        log:
            f"{RUN}/logs/bounds.log",
        wildcard_constraints:
            study=study.name,
        priority: FOR_THEORY
        conda:
            "../../envs/ap3.yaml"
        threads: setting("threads")
        resources:
            runtime=grown(120),
            mem_mb=grown(8000),
        params:
            latent=latent(*LAWS, "examples"),
            scope=option("finetuning", "scope"),
            cpu_threads=option("threads"),
            code=code_of("bounds", *door.law_modules()),
        message:
            "Bounds of {wildcards.model} on {wildcards.dataset}, trial {wildcards.trial}"
        shell:
            "ap3 bounds {input.tuned} --checkpoint {input.checkpoint} --features {input.features}"
            " --covariance {input.covariance} {params.scope} {params.latent}"
            " {params.cpu_threads} --out {output} 2> {log}"
