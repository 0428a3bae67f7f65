# Needs: the measures of many random masks of every baseline of a study, and their noise. Gives: what
# each measure says among masks of one ratio, as tables and a figure.

for study in LAST_LAYER:
    if not study.random_masks:
        continue

    rule:
        name:
            f"within_{study.name}"
        input:
            draws=runs(study, study.pairs, output_of("draws", study).measures),
            noise=runs(study, study.pairs, output_of("draws", study).noise),
        output:
            table="results/{study}/tables/within.csv",
            summary=reported(
                "results/{study}/tables/within_summary.csv", "within_summary"
            ),
            pdf=report(
                "results/{study}/figures/within.pdf",
                caption=str(door.caption_file("within")),
                category="Figures",
                labels={
                    "figure": "within",
                    "shows": door.read_caption("within").title,
                },
            ),
            png="results/{study}/figures/within.png",
        log:
            "results/{study}/logs/within.log",
        wildcard_constraints:
            study=study.name,
        localrule: True
        conda:
            "../../envs/ap3.yaml"
        params:
            folder=subpath(output.table, parent=True),
            code=code_of("within"),
            look=door.figure_digest("paper.mplstyle"),
        message:
            "Masks of one ratio of study {wildcards.study}"
        shell:
            "ap3 within {input.draws} --out {params.folder} --pdf {output.pdf} --png {output.png} 2> {log}"
