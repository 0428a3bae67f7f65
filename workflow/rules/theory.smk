# Needs: the bounds of every baseline of a study. Gives: one tidy table, how often each bound fails,
# and a figure of the bounds against the PD.


rule theory:
    input:
        runs_of("bounds", 0),
    output:
        bounds="results/{study}/tables/bounds.csv",
        summary=reported("results/{study}/tables/bounds_summary.csv", "bounds_summary"),
        pdf=report(
            "results/{study}/figures/bounds.pdf",
            caption=str(door.caption_file("bounds")),
            category="Figures",
            labels={"figure": "bounds", "shows": door.read_caption("bounds").title},
        ),
        png="results/{study}/figures/bounds.png",
    log:
        "results/{study}/logs/theory.log",
    priority: FOR_THEORY
    localrule: True
    conda:
        "../../envs/ap3.yaml"
    params:
        folder=subpath(output[0], parent=True),
        code=code_of("theory"),
        look=door.figure_digest("paper.mplstyle"),
    message:
        "The bounds of study {wildcards.study}"
    shell:
        "ap3 theory {input} --out {params.folder} --pdf {output.pdf} --png {output.png} 2> {log}"
