# Needs: how far every layer has moved, of all variants of a study in scope all. Gives: AP2 and AP3
# layer by layer, and how each goes with that of the layer before.

for study in LAST_LAYER:

    rule:
        name:
            f"depth_{study.name}"
        input:
            runs(study, study.pairs, output_of("finetune", study).depth),
        output:
            layers="results/{study}/tables/layers.csv",
            summary=reported(
                "results/{study}/tables/layers_summary.csv", "layers_summary"
            ),
        log:
            "results/{study}/logs/depth.log",
        wildcard_constraints:
            study=study.name,
        localrule: True
        conda:
            "../../envs/ap3.yaml"
        params:
            folder=subpath(output[0], parent=True),
            code=code_of("depth"),
        message:
            "The layers of study {wildcards.study}"
        shell:
            "ap3 depth {input} --out {params.folder} 2> {log}"
