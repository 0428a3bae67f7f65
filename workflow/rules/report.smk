# Needs: the tables and figures of a study. Gives: its settings, defaults filled in, and one HTML page
# that shows all of it. `snakemake report` makes the page of the study of the configuration.


rule settings:
    output:
        "results/{study}/settings.json",
    log:
        "results/{study}/logs/settings.log",
    localrule: True
    conda:
        "../../envs/ap3.yaml"
    params:
        settings=settings_in_full,
    message:
        "Settings of study {wildcards.study}"
    shell:
        "printf '%s\\n' {params.settings:q} > {output}.part 2> {log} && mv {output}.part {output}"


for study in STUDIES.values():

    rule:
        name:
            f"report_{study.name}"
        input:
            products(study),
        output:
            f"results/{study.name}/report.html",
        log:
            f"results/{study.name}/logs/report.log",
        localrule: True
        conda:
            "../../envs/ap3.yaml"
        params:
            folder=subpath(output[0], parent=True),
            page=door.page_digest(),
            code=code_of("report"),
        message:
            "Report of the study"
        shell:
            "ap3 report {params.folder} --out {output} 2> {log}"


rule report:
    input:
        f"results/{STUDY.name}/report.html",
