# Needs: the measures of every baseline of a study. Gives: one tidy table, and its summary.


rule tables:
    input:
        runs_of("measure", "measures"),
    output:
        measures="results/{study}/tables/measures.csv",
        summary=reported("results/{study}/tables/summary.csv", "summary"),
        baselines=reported("results/{study}/tables/baselines.csv", "baselines"),
    log:
        "results/{study}/logs/tables.log",
    localrule: True
    conda:
        "../../envs/ap3.yaml"
    params:
        folder=subpath(output.measures, parent=True),
        code=code_of("tables"),
    message:
        "Tables of study {wildcards.study}"
    shell:
        "ap3 tables {input} --out {params.folder} 2> {log}"
