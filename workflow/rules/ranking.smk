# Needs: the measured variants of every baseline of a study over any layers. Gives: which measure orders
# damage, how well its size is predicted, whether it adds up over layers, as tables and two figures.


rule ranking:
    input:
        evaluated=runs_of_networks("evaluated"),
        single=runs_of_networks("single"),
        outcomes=runs_of_networks("outcomes"),
    output:
        tables=expand(
            "results/{{study}}/tables/{table}.csv",
            table=[name for name in NETWORK_TABLES if not name.endswith("_summary")],
        ),
        summaries=[
            reported(f"results/{{study}}/tables/{name}.csv", name)
            for name in NETWORK_TABLES
            if name.endswith("_summary")
        ],
        pdf=[
            report(
                f"results/{{study}}/figures/{name}.pdf",
                caption=str(door.caption_file(name)),
                category="Figures",
                labels={"figure": name, "shows": door.read_caption(name).title},
            )
            for name in NETWORK_FIGURES
        ],
        png=expand("results/{{study}}/figures/{figure}.png", figure=NETWORK_FIGURES),
    log:
        "results/{study}/logs/ranking.log",
    localrule: True
    conda:
        "../../envs/ap3.yaml"
    params:
        tables="results/{study}/tables",
        figures="results/{study}/figures",
        code=code_of("ranking"),
        look=door.figure_digest("paper.mplstyle"),
    message:
        "What explains the PD of the networks of study {wildcards.study}"
    shell:
        "ap3 ranking {input.evaluated} --out {params.tables} --figures {params.figures} 2> {log}"
