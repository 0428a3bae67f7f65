# Needs: a baseline, and its features where a mode looks at them. Gives: its last layer pruned by
# every mode at every ratio, and the control. One rule per study, since each has variants of its own.

for study in LAST_LAYER:

    rule:
        name:
            f"prune_{study.name}"
        input:
            checkpoint=rules.baseline.output.checkpoint,
            features=rules.features.output[0] if study.looks_at_data else [],
        output:
            f"{RUN}/pruned.safetensors",
        log:
            f"{RUN}/logs/prune.log",
        wildcard_constraints:
            study=study.name,
        priority: FOR_AGREEMENT
        conda:
            "../../envs/ap3.yaml"
        resources:
            runtime=grown(30),
            mem_mb=grown(4000),
        params:
            variants=" ".join(quote(str(variant)) for variant in study.variants),
            features=lambda w, input: options(
                {"features": input.get("features") or None}
            ),
            examples=latent("examples") if study.looks_at_data else "",
            code=code_of("prune", *door.own_modules(study.settings["pruning"]["modes"])),
        message:
            "Prune {wildcards.model} on {wildcards.dataset}, trial {wildcards.trial}"
        shell:
            "ap3 prune {params.variants} --checkpoint {input.checkpoint} {params.features}"
            " {params.examples} --out {output} 2> {log}"
