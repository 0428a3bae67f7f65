# Needs: the measures of every baseline of a study. Gives: how well each measure explains the PD, as
# tables and a figure.


rule agreement:
    input:
        lambda w: runs(study_of(w), study_of(w).pairs, "measures.csv"),
    output:
        tables=expand("results/{{study}}/tables/{table}.csv", table=EXPLAINED),
        pdf="results/{study}/figures/agreement.pdf",
        png="results/{study}/figures/agreement.png",
    log:
        "results/{study}/logs/agreement.log",
    localrule: True
    conda:
        "../../envs/ap3.yaml"
    params:
        folder=subpath(output[0], parent=True),
        code=code_of("agreement"),
    message:
        "What explains the PD of study {wildcards.study}"
    shell:
        "ap3 agreement {input} --out {params.folder} --pdf {output.pdf} --png {output.png} 2> {log}"
