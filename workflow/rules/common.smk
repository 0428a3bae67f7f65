# What the rules share: paths, settings as options, digests, resources.
# Needs: STUDIES and STUDY. Gives: the functions below; no rules.

import atexit
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from shlex import quote

import psutil

from ap3.study import door

# The tables that say which measure explains the performance difference; each has a summary.
EXPLAINED = ["agreement", "contrast", "choice"]

# Studies of the last layer; the others prune any layers of a network, by rules of their own.
LAST_LAYER = [study for study in STUDIES.values() if not study.over_layers]

# Data sets and networks by the name of their folder. Only those of the user's own differ from it.
NAMES = {
    door.folder_name(name): name
    for name in [
        *door.datasets.names(),
        *(name for s in STUDIES.values() for pair in s.pairs for name in pair),
    ]
}


def tell_of_old_folders():
    """Say which results lie under the names that folders of the user's own used to have."""
    for folder, name in NAMES.items():
        never_so = folder == name or door.is_folder(name)
        old = [] if never_so else Path("results").glob(f"**/{name}")
        for path in old:
            new = path.with_name(folder)
            logger.warning(
                f"{path} is now called {new}; rename it to keep what it holds: mv {path} {new}"
            )


if workflow.is_main_process:
    tell_of_old_folders()

# What `ap3 ranking` makes of a study over any layers.
NETWORK_TABLES = ["variants", "sensitivity", "ranking", "ranking_summary"]
NETWORK_TABLES += ["additivity_summary", "size_summary"]
NETWORK_FIGURES = ["sensitivity", "prediction"]
FIGURE_KINDS = ["pdf", "png"]

RUN = "results/{study}/{dataset}/{model}/trial{trial}"

# Where the cache between workflows is, if any. A store elsewhere than on disk is not looked at.
PLACE = os.environ.get("SNAKEMAKE_OUTPUT_CACHE", "")
CACHE = bool(PLACE)
if CACHE and "://" not in PLACE and not os.access(PLACE, os.W_OK | os.X_OK):
    raise WorkflowError(
        f"SNAKEMAKE_OUTPUT_CACHE is {PLACE!r}, but must be a folder that can be written to; "
        "make it, or unset the variable."
    )


def forget_deleted_entries():
    """Remove links in results to what is no longer in the cache, so that it is made again.

    Snakemake takes such a link for a file, and ends where it asks for the file's time.
    """
    cache = Path(PLACE).resolve()
    for folder, _, names in os.walk("results"):
        for link in (Path(folder, name) for name in names):
            if link.is_symlink() and not link.exists():
                if link.readlink().parent in (cache, Path(PLACE)):
                    link.unlink(missing_ok=True)


if CACHE and "://" not in PLACE and workflow.is_main_process:
    forget_deleted_entries()


wildcard_constraints:
    study="|".join(STUDIES),
    dataset="|".join(map(re.escape, NAMES)),
    model="[^/]+",
    weights="[^/]+",
    trial="[0-9]+",


def take_results():
    """Take the results folder for this workflow; end it where another has it, or no job could write."""
    jobs = workflow.dag.needrun_jobs()
    written = {Path(file).parent for job in jobs for file in (*job.output, *job.log)}
    try:
        door.take_results_lock(Path("results"))
        for folder in sorted(written):
            door.check_writable(folder)
    except door.UserError as error:
        stop(error)


def start_jobs_at_once():
    """Limit by nothing but cores how fast jobs start on this machine, unless the user does.

    Every job that has ended makes Snakemake's own limit look for work once more in every second. A
    sample of the jobs that are ready is drawn anew by nothing else.
    """
    asked = workflow.scheduling_settings
    limit = asked.max_jobs_per_timespan
    is_default = limit and (limit.max_jobs, limit.timespan) == (100, 1)  # a second
    if is_default and not asked.subsample and not workflow.non_local_exec:
        workflow.scheduler.job_rate_limiter = None


def heed_sigterm():
    """Let SIGTERM, by which clusters and containers stop a workflow, do what Ctrl-C does.

    Snakemake's own handler waits for a lock that the thread it interrupts may hold: for ever, with
    the results folder taken. Ctrl-C reaches the jobs as well, so this passes the signal on.
    """

    def stop_all(number, frame):
        # Once is enough; jobs that start now would inherit SIG_IGN.
        signal.signal(signal.SIGTERM, lambda number, frame: None)
        told = set()
        stop_new_jobs(told)
        threading.Thread(target=stop_jobs, args=(told,), daemon=True).start()
        atexit.register(stop_new_jobs, told)  # one may start after the last look
        if callable(signal.getsignal(signal.SIGINT)):
            signal.raise_signal(signal.SIGINT)
        raise KeyboardInterrupt  # a shell's background process ignores SIGINT

    signal.signal(signal.SIGTERM, stop_all)


def stop_jobs(told):
    """Stop every job, also those that are just starting, and end this process if it outlives them.

    Snakemake may wait for ever for a task of its own that the signal came upon.
    """
    alone_since = time.monotonic()
    while time.monotonic() - alone_since < 30:
        stop_new_jobs(told)
        if any(map(lives, psutil.Process().children())):
            alone_since = time.monotonic()
        time.sleep(0.1)
    os._exit(1)


def lives(process):
    with contextlib.suppress(psutil.Error):
        return process.status() != psutil.STATUS_ZOMBIE


def stop_new_jobs(told):
    """Stop the jobs that were not told to stop before.

    All are held first: one that ends while it starts another would leave that behind.
    """
    held = []
    while new := set(psutil.Process().children(recursive=True)) - told:
        told |= new
        held += new
        tell(new, psutil.Process.suspend)
    tell(held, psutil.Process.terminate)
    tell(held, psutil.Process.resume)


def tell(processes, what):
    for process in processes:
        with contextlib.suppress(psutil.Error):
            what(process)


def name_of(wildcards, key):
    """The data set or the network whose folder a wildcard is."""
    return NAMES.get(wildcards[key], wildcards[key])


def pair_of(wildcards):
    return name_of(wildcards, "dataset"), name_of(wildcards, "model")


def study_of(wildcards):
    return STUDIES[wildcards.study]


def setting(*keys):
    """An input or params function that looks a setting up in the job's study."""

    def look_up(wildcards):
        value = STUDIES[wildcards.study].settings
        for key in keys:
            value = value[key]
        return value

    return look_up


# Snakemake remembers the values of params without their names, and the key of its cache knows the
# params but neither the wildcards nor which input is which. So every value says what it is, and the
# params of a cached rule, and of those above it, hold all that tells its jobs apart.


def options(values):
    """Spell settings as options of a command, in one order; null and false are left out."""
    return " ".join(
        f"--{key.replace('_', '-')}"
        + ("" if value is True else f" {quote(str(value))}")
        for key, value in sorted(values.items())
        if value is not None and value is not False
    )


def option(*keys):
    """A params function that spells a setting of the job's study as an option."""
    look_up = setting(*keys)
    return lambda wildcards: options({keys[-1]: look_up(wildcards)})


def named(*keys):
    """A params function that spells wildcards as options."""
    return lambda wildcards: options({key: name_of(wildcards, key) for key in keys})


# Settings of the latent laws themselves.
LAWS = ("df", "groups", "variance", "beta", "fisher_scale", "damping", "share")


def latent(*keys):
    """A params function that spells settings of the latent laws as options."""

    def spell(wildcards):
        chosen = study_of(wildcards).settings["latent"]
        return options({key: chosen[key] for key in keys})

    return spell


def device_of(study):
    """Where a study's jobs that train or evaluate run: the study says it where the site does not."""
    everywhere = config.get("device", "auto")
    return study.settings["device"] if everywhere == "auto" else everywhere


def device(wildcards):
    """A params function that spells it as an option."""
    return options({"device": device_of(study_of(wildcards))})


# Where raw files come from. A resource of the site and no params: it does not change what they are.
DATA_DIR = options({"data_dir": config.get("data_dir")})


def code_of(stage, *others):
    """A params entry that changes when the code behind a stage does."""
    return door.code_digest(f"ap3.stages.{stage}", *others)


def network_code(wildcards):
    """A params entry that changes when what builds the job's network does."""
    return NETWORKS[name_of(wildcards, "model")]


def weights_code(wildcards):
    """A params entry that changes when the user's own file of weights does, whatever its date."""
    weights = study_of(wildcards).weights(*pair_of(wildcards))
    return door.weights_digest(weights) if door.is_file(weights) else ""


def images_of(wildcards):
    """The decoded data set that a job uses, or the part of it that its study takes."""
    return images_at(study_of(wildcards), *pair_of(wildcards))


def images_at(study, dataset, model):
    """The same for a network and its data set, by name."""
    examples = study.examples(dataset, model)
    part = f".{examples}" if examples else ""
    return f"results/data/{door.folder_name(dataset)}{part}.safetensors"


def weights_of(wildcards):
    """The file of pretrained weights that a job's network starts from, if any."""
    weights = study_of(wildcards).weights(*pair_of(wildcards))
    if weights == door.NO_WEIGHTS:
        return []
    return (
        weights
        if door.is_file(weights)
        else f"results/weights/{wildcards.model}/{weights}.safetensors"
    )


def has_card():
    """Whether this machine has a CUDA card, asked without importing torch."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "" or not shutil.which("nvidia-smi"):
        return False
    answer = subprocess.run(
        ["nvidia-smi", "--list-gpus"], capture_output=True, text=True
    )
    return answer.returncode == 0 and "GPU" in answer.stdout


CARD = has_card()


def check_for_slurm():
    """End a workflow that is to run on Slurm where there is none, before its first job."""
    if workflow.executor_plugin.name == "slurm" and not shutil.which("sbatch"):
        stop(
            "There is no Slurm here (no sbatch on the path); start this on a login node of the "
            "cluster, or without the profile: snakemake --cores all."
        )


def gpus(wildcards):
    """One GPU for a job that trains or evaluates; none where it would run without."""
    return gpus_of(study_of(wildcards))


def gpus_of(study):
    return int(device_of(study) != "cpu" and (CARD or workflow.non_local_exec))


def due_devices():
    """Where those of the jobs that are due run that train or evaluate."""
    due = [
        job for job in workflow.dag.needrun_jobs() if "device" in job.rule.params.keys()
    ]
    return {
        device_of(STUDIES.get(job.wildcards_dict.get("study"), STUDY)) for job in due
    }


# The longest of the last jobs is `agreement`: it goes first, and so does what it waits for; then
# `theory`, likewise. Figures, which nothing waits for, fill the other cores meanwhile.
FOR_AGREEMENT = 2
FOR_THEORY = 1
# With a card, its jobs go before those of the CPU, which could hold all cores and leave it idle.
CARD_FIRST = FOR_AGREEMENT + (CARD and device_of(STUDY) != "cpu")


def grown(amount):
    """A resources function: `amount` at the first attempt, and as much again at every retry."""
    return lambda wildcards, attempt: amount * attempt


def output_of(stage, study):
    """The outputs of a stage that has a rule of its own in every study."""
    return getattr(rules, f"{stage}_{study.name}").output


def runs_of(stage, name):
    """An input function: an output of a stage, for every baseline of the job's study."""

    def look_up(wildcards):
        study = study_of(wildcards)
        outputs = output_of(stage, study)
        path = outputs[name] if isinstance(name, int) else getattr(outputs, name)
        return runs(study, study.pairs, path)

    return look_up


def runs(study, pairs, path):
    """The output at `path` for every trial of some (data set, network) pairs of a study."""
    return [
        run
        for dataset, model in pairs
        for run in expand(
            path,
            study=study.name,
            dataset=door.folder_name(dataset),
            model=door.folder_name(model),
            trial=study.trials,
        )
    ]


def measures_of_figure(wildcards):
    """The measures that a figure of a study is drawn from."""
    study = study_of(wildcards)
    try:
        pairs = study.figure_pairs(wildcards.figure)
    except door.UserError as error:
        # Snakemake would print any other exception of an input function with a traceback.
        raise SystemExit(f"ap3: {error}") from None
    return runs(study, pairs, output_of("measure", study).measures)


def runs_of_networks(name):
    """An input function: an output of `evaluate`, for every baseline of the job's study."""

    def look_up(wildcards):
        study = study_of(wildcards)
        return runs(study, study.pairs, getattr(rules.evaluate.output, name))

    return look_up


def allocation_options(wildcards):
    """Spell which layers of a network are pruned, and how a ratio is shared out over them."""
    pruning = study_of(wildcards).settings["pruning"]
    layers, how = pruning["layers"], pruning["allocation"]
    given = [
        *(
            f"--layers {quote(one)}"
            for one in ([layers] if isinstance(layers, str) else layers)
        ),
        *(f"--mode {quote(mode)}" for mode in pruning["modes"]),
        *(f"--ratio {ratio}" for ratio in pruning["ratios"]),
        *(f"--alone {ratio}" for ratio in pruning["alone"] if layers != "last"),
        "--allocation "
        f"{how if isinstance(how, str) else 'random:{random}'.format_map(how)}",
    ]
    return " ".join(given)


def tuning_options(wildcards):
    """Spell how a pruned network is fine-tuned, if it is, and how it is run."""
    study = study_of(wildcards)
    if study.settings["finetuning"]["scope"] == "none":
        return options({"channels_last": study.settings["training"]["channels_last"]})
    return options(study.finetuning_recipe(*pair_of(wildcards)))


def settings_in_full(wildcards):
    """The settings of a study as JSON, with those that the configuration leaves out.

    The order of networks and data sets is that of the page; that of other keys says nothing.
    """
    study = study_of(wildcards)
    parts = {
        key: (
            dict(sorted(part.items()))
            if isinstance(part, dict) and key not in ("data", "networks")
            else part
        )
        for key, part in sorted(study.settings.items())
    }
    return json.dumps({"name": study.name, **parts})


def reported(path, name):
    """Put a table into Snakemake's own report, with what is said of it."""
    return report(
        path,
        caption=str(door.caption_file(name)),
        category="Tables",
        labels={"table": door.read_caption(name).title},
    )


def labels_of_figure(wildcards):
    """What Snakemake's own report calls a figure: its number, and what it shows."""
    said = door.caption_of(wildcards.figure, study_of(wildcards))
    labels = {name: ", ".join(values) for name, values in said.labels.items()}
    return {"figure": wildcards.figure, "shows": said.title, **labels}


def roles_of_figure(wildcards):
    """The options that tell a figure which of the study's networks and data sets play its roles."""
    roles, figure = study_of(wildcards).roles, door.describe_figure(wildcards.figure)
    chosen = [
        ("network", role, roles.network(role, figure.name)) for role in figure.networks
    ]
    chosen += [
        ("data", role, roles.data_set(role, figure.name)) for role in figure.data
    ]
    return " ".join(f"--{key} {quote(f'{role}={name}')}" for key, role, name in chosen)


def products(study):
    """All tables and figures of a study."""
    if study.over_layers:
        return expand(
            [
                "results/{study}/tables/{table}.csv",
                "results/{study}/figures/{figure}.{kind}",
            ],
            study=study.name,
            table=NETWORK_TABLES,
            figure=NETWORK_FIGURES,
            kind=FIGURE_KINDS,
        ) + [f"results/{study.name}/settings.json"]
    tables = ["measures", "summary", "baselines", "bounds", "bounds_summary"]
    if study.settings["finetuning"]["scope"] == "all":
        tables += ["layers", "layers_summary"]
    figures = [*study.figures, "bounds", "agreement"]
    if study.random_masks:
        tables += ["within", "within_summary"]
        figures += ["within"]
    return (
        expand(
            "results/{study}/tables/{table}.csv",
            study=study.name,
            table=tables + EXPLAINED + [f"{table}_summary" for table in EXPLAINED],
        )
        + expand(
            "results/{study}/figures/{figure}.{kind}",
            study=study.name,
            figure=figures,
            kind=FIGURE_KINDS,
        )
        + [f"results/{study.name}/settings.json"]
    )
