# Needs: the measures of every baseline of a study, and how its PDs vary with the examples. Gives:
# how well each measure explains the PD, as tables and a figure.


rule agreement:
    input:
        measures=runs_of("measure", "measures"),
        noise=runs_of("measure", "noise"),
    output:
        tables=expand("results/{{study}}/tables/{table}.csv", table=EXPLAINED),
        summaries=[
            reported(
                f"results/{{study}}/tables/{table}_summary.csv", f"{table}_summary"
            )
            for table in EXPLAINED
        ],
        pdf=report(
            "results/{study}/figures/agreement.pdf",
            caption=str(door.caption_file("agreement")),
            category="Figures",
            labels={
                "figure": "agreement",
                "shows": door.read_caption("agreement").title,
            },
        ),
        png="results/{study}/figures/agreement.png",
    log:
        "results/{study}/logs/agreement.log",
    priority: FOR_AGREEMENT
    localrule: True
    conda:
        "../../envs/ap3.yaml"
    params:
        folder=subpath(output[0], parent=True),
        code=code_of("agreement"),
        look=door.figure_digest("paper.mplstyle"),
    message:
        "What explains the PD of study {wildcards.study}"
    shell:
        "ap3 agreement {input.measures} --out {params.folder} --pdf {output.pdf} --png {output.png} 2> {log}"
