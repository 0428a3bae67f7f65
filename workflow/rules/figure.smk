# Needs: the measures that a figure's description asks for. Gives: the figure, as PDF and PNG.


rule figure:
    input:
        measures_of_figure,
    output:
        pdf=report(
            "results/{study}/figures/{figure}.pdf",
            caption="../report/figure.rst",
            category="Figures",
            labels=labels_of_figure,
        ),
        png="results/{study}/figures/{figure}.png",
    log:
        "results/{study}/logs/{figure}.log",
    wildcard_constraints:
        figure="|".join(door.figure_names()),
    localrule: True
    conda:
        "../../envs/ap3.yaml"
    params:
        caption=lambda w: door.caption_of(w.figure, study_of(w)).text,
        roles=roles_of_figure,
        description=lambda w: door.figure_digest(f"{w.figure}.yaml"),
        look=door.figure_digest("schema.yaml", "paper.mplstyle"),
        code=code_of("figure"),
    message:
        "Draw {wildcards.figure} of study {wildcards.study}"
    shell:
        "ap3 figure {wildcards.figure} {input} {params.roles}"
        " --pdf {output.pdf} --png {output.png} 2> {log}"
