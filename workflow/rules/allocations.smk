# Needs: a baseline. Gives: how much of each of its layers goes, in every variant of a study over any
# layers. The weights follow from it.


rule allocations:
    input:
        checkpoint=rules.baseline.output.checkpoint,
    output:
        f"{RUN}/allocations.csv",
    log:
        f"{RUN}/logs/allocations.log",
    conda:
        "../../envs/ap3.yaml"
    resources:
        runtime=grown(30),
        mem_mb=grown(4000),
    params:
        what=allocation_options,
        code=lambda w: code_of(
            "allocations", *door.own_modules(setting("pruning", "modes")(w))
        ),
        network=network_code,
        model=named("model"),
    message:
        "Allocate pruning over {wildcards.model} on {wildcards.dataset}, trial {wildcards.trial}"
    shell:
        "ap3 allocations --checkpoint {input.checkpoint} {params.model} {params.what}"
        " --out {output} 2> {log}"
