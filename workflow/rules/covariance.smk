# Needs: a baseline, for the size of its last layer. Gives: the eigenvectors of the non-diagonal
# covariance (Sec. 2), one set for all trials of a network on a data set.


rule covariance:
    input:
        checkpoint=rules.baseline.output.checkpoint.replace("{trial}", "1"),
    output:
        "results/{study}/{dataset}/{model}/covariance.safetensors",
    log:
        "results/{study}/{dataset}/{model}/logs/covariance.log",
    cache: CACHE
    priority: FOR_AGREEMENT
    conda:
        "../../envs/ap3.yaml"
    threads: setting("threads")
    resources:
        runtime=grown(120),
        mem_mb=grown(16000),
    params:
        rotation=option("latent", "rotation"),
        seed=option("seed"),
        cpu_threads=option("threads"),
        code=code_of("covariance"),
    message:
        "Covariance for {wildcards.model} on {wildcards.dataset}"
    shell:
        "ap3 covariance --checkpoint {input.checkpoint} {params.rotation}"
        " {params.seed} {params.cpu_threads} --out {output} 2> {log}"
