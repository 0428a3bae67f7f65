# Needs: a network of torchvision that has pretrained weights. Gives: these, checked, with the input
# size and normalisation that they go with.


rule weights:
    output:
        "results/weights/{model}/{weights}.safetensors",
    log:
        "results/logs/weights/{model}/{weights}.log",
    conda:
        "../../envs/ap3.yaml"
    resources:
        runtime=240,
        mem_mb=4000,
    params:
        data_dir=options({"data_dir": config.get("data_dir")}),
        code=code_of("weights"),
        torchvision=version("torchvision"),
    message:
        "Fetch the weights {wildcards.weights} of {wildcards.model}"
    shell:
        "ap3 weights --model {wildcards.model} --weights {wildcards.weights} --out {output}"
        " {params.data_dir} 2> {log}"
